/* One pipeline to the server, and again, until it was heard. */
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fail.h"
#include "queue/probe.h"
#include "queue/queue.h"

#include <poll.h>
#include <string.h>

enum { BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 2000 };

iq_deadline iq_queue_deadline(const imgq_queue *queue)
{
    return iq_deadline_after_ms((int64_t)queue->options.connect_ms + queue->options.call_ms);
}

void iq_queue_add_script(const imgq_queue *queue, iq_commands *commands, const iq_script *script)
{
    iq_commands_add_script(commands, script, 2);
    iq_commands_bytes(commands, queue->meta.text, queue->meta.len);
    iq_commands_bytes(commands, queue->slot.text, queue->slot.len);
}

bool iq_queue_sees_all(const imgq_queue *queue)
{
    return queue->owner_len == 0 &&
           ((queue->options.roles & IMGQ_ROLE_OPERATOR) != 0 || queue->options.roles == IMGQ_ROLE_READER);
}

void iq_queue_add_owner(const imgq_queue *queue, iq_commands *commands)
{
    if (iq_queue_sees_all(queue))
        iq_commands_text(commands, "*");
    else
        iq_commands_bytes(commands, queue->owner, queue->owner_len);
}

uint32_t iq_queue_jitter(uint32_t ms)
{
    uint32_t random;
    iq_random(&random, sizeof random);
    return (uint32_t)((uint64_t)ms * (80 + random % 41) / 100);
}

imgq_status iq_queue_sleep(imgq_queue *queue, iq_deadline until, imgq_error *err)
{
    struct pollfd wake = {.fd = queue->interrupt.fd, .events = POLLIN};
    while (!iq_deadline_passed(until)) {
        if (poll(&wake, 1, iq_deadline_poll_ms(until)) > 0)
            break;
    }
    if (iq_interrupt_is_set(&queue->interrupt))
        return iq_fail(err, IMGQ_E_CANCELLED, 0, "interrupted");
    return IMGQ_OK;
}

void iq_queue_free_replies(iq_reply **replies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        iq_reply_free(replies[i]);
        replies[i] = NULL;
    }
}

/* A script that met a right it lacks says so in words of its own in Redis 7.0. */
static bool lacks_a_right(const iq_reply *reply)
{
    return iq_reply_is_error(reply, "NOPERM") ||
           (reply->type == IQ_REPLY_ERROR && strstr(reply->text, "The user executing the script can't") != NULL);
}

imgq_status iq_queue_reply_check(const iq_reply *reply, const char *what, imgq_error *err)
{
    imgq_status status = iq_reply_check(reply, what, err);
    if (status != IMGQ_E_PROTOCOL)
        return status;
    if (iq_reply_is_error(reply, "IQVER"))
        status = IMGQ_E_UNSUPPORTED;
    else if (iq_reply_is_error(reply, "IQBIG"))
        status = IMGQ_E_LIMIT;
    else if (iq_reply_is_error(reply, "IQARG"))
        status = IMGQ_E_INTERNAL;
    else if (lacks_a_right(reply))
        status = IMGQ_E_DENIED;
    if (err != NULL)
        err->status = status;
    return status;
}

/* What the replies of one attempt mean for the whole. */
typedef enum verdict { VERDICT_ANSWER, VERDICT_REPEAT, VERDICT_REPAIR, VERDICT_PROBE } verdict;

static verdict judge(iq_reply *const *replies, size_t count, unsigned flags, imgq_error *why)
{
    for (size_t i = 0; i < count; i++) {
        if (replies[i]->type != IQ_REPLY_ERROR)
            continue;
        if (iq_reply_is_error(replies[i], "IQVER"))
            return VERDICT_REPAIR;
        if (lacks_a_right(replies[i]) && (flags & IQ_CALL_NO_PROBE) == 0)
            return VERDICT_PROBE;
        const imgq_status status = iq_reply_check(replies[i], "Redis", why);
        if (status == IMGQ_E_UNAVAILABLE)
            return VERDICT_REPEAT;
        /* BUSY is another's slow script and passes; the other refusals last until somebody acts. */
        if (status == IMGQ_E_BUSY && (iq_reply_is_error(replies[i], "BUSY") || (flags & IQ_CALL_REPEAT_BUSY) != 0))
            return VERDICT_REPEAT;
    }
    return VERDICT_ANSWER;
}

/* A server that was emptied (FLUSHALL, a failover without the data) has no version any more: say it once again. */
static imgq_status repair_version(imgq_queue *queue, const iq_request *request, imgq_error *err)
{
    iq_commands commands;
    iq_reply *reply = NULL;
    const iq_call call = {.deadline = request->deadline};
    iq_commands_init(&commands, queue->env);
    iq_commands_add(&commands, "HSETNX");
    iq_commands_bytes(&commands, queue->meta.text, queue->meta.len);
    iq_commands_text(&commands, "ver");
    iq_commands_text(&commands, "1");
    const imgq_status status = iq_conn_pool_call(queue->lines[request->line], &commands, &call, &reply, err);
    iq_reply_free(reply);
    iq_commands_release(&commands);
    return status;
}

static imgq_status attempt(imgq_queue *queue, const iq_commands *commands, const iq_request *request,
                           iq_reply **replies, imgq_error *err)
{
    const bool patient = (request->flags & IQ_CALL_PATIENT) != 0;
    const iq_call call = {.deadline = patient ? iq_deadline_never() : request->deadline, .block_ms = request->block_ms};
    memset(replies, 0, commands->count * sizeof *replies);
    return iq_conn_pool_call(queue->lines[request->line], commands, &call, replies, err);
}

static imgq_status fail_with(const imgq_error *why, imgq_error *err)
{
    if (err != NULL)
        *err = *why;
    return why->status;
}

imgq_status iq_queue_run(imgq_queue *queue, const iq_commands *commands, const iq_request *request, iq_reply **replies,
                         imgq_error *err)
{
    uint32_t backoff_ms = BACKOFF_MIN_MS;
    bool repaired = false;
    for (;;) {
        imgq_error why = {0};
        bool answered = false; /* by an error that will pass: a broken connection has a back-off of its own */
        imgq_status status = attempt(queue, commands, request, replies, &why);
        if (status == IMGQ_OK) {
            const verdict v = judge(replies, commands->count, request->flags, &why);
            /* Of a right that was taken away Redis names the command alone; the probe says what to grant. */
            if (v == VERDICT_PROBE && iq_queue_probe(queue, request->deadline, &why) == IMGQ_E_DENIED) {
                iq_queue_free_replies(replies, commands->count);
                return fail_with(&why, err);
            }
            if (v == VERDICT_ANSWER || v == VERDICT_PROBE || (v == VERDICT_REPAIR && repaired))
                return IMGQ_OK;
            iq_queue_free_replies(replies, commands->count);
            if (v == VERDICT_REPAIR) {
                repaired = true;
                status = repair_version(queue, request, &why);
                if (status == IMGQ_OK)
                    continue;
            } else {
                status = why.status;
                answered = true;
            }
        }
        const bool again = status == IMGQ_E_UNAVAILABLE || status == IMGQ_E_BUSY;
        if (!again || (request->flags & IQ_CALL_ONCE) != 0 || iq_deadline_passed(request->deadline))
            return fail_with(&why, err);
        if (!answered)
            continue;
        const uint32_t wait_ms = why.retry_after_ms > 0 ? why.retry_after_ms : backoff_ms;
        const iq_deadline until = iq_deadline_min(request->deadline, iq_deadline_after_ms(iq_queue_jitter(wait_ms)));
        status = iq_queue_sleep(queue, until, err);
        if (status != IMGQ_OK)
            return status;
        backoff_ms = backoff_ms * 2 < BACKOFF_MAX_MS ? backoff_ms * 2 : BACKOFF_MAX_MS;
    }
}

imgq_status iq_queue_call(imgq_queue *queue, const iq_commands *commands, const iq_request *request, const char *what,
                          iq_reply **reply, imgq_error *err)
{
    *reply = NULL;
    imgq_status status = iq_queue_run(queue, commands, request, reply, err);
    if (status == IMGQ_OK)
        status = iq_queue_reply_check(*reply, what, err);
    if (status != IMGQ_OK)
        iq_queue_free_replies(reply, 1);
    return status;
}
