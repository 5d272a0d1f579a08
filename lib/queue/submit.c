/* Jobs into the queue: packed into round trips, and what the queue says about each. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fail.h"
#include "base/id.h"
#include "base/options.h"
#include "queue/inbox.h"
#include "queue/record.h"
#include "queue/scripts.h"
#include "queue/submission.h"
#include "queue/submit_check.h"

#include <inttypes.h>
#include <string.h>

enum { DEFAULT_PRIORITY = 5, MAX_RESTAGES = 3, SESSION_MS = 60000 };

/* One round trip under way, and the caller's arrays. */
typedef struct batch {
    imgq_queue *queue;
    const imgq_payload *payloads;
    imgq_submit_options options;
    iq_job_options job_options; /* the same for all */
    imgq_id *ids;               /* NULL: not asked for */
    imgq_status *each;          /* NULL: not asked for */
    imgq_error *err;
    imgq_status first; /* failure; IMGQ_OK: none yet */
    imgq_status
        away; /* the server did not answer: the rest is not waited for one page after the other; IMGQ_OK: it did */
    imgq_error away_error;

    size_t count, bytes;
    iq_submission jobs[IQ_SUBMIT_MAX_JOBS];
    iq_buf options_of[IQ_SUBMIT_MAX_JOBS];
    iq_submission *kept[IQ_SUBMIT_MAX_JOBS]; /* NULL: no copy */
    size_t index[IQ_SUBMIT_MAX_JOBS];        /* in the caller's arrays */
} batch;

static imgq_status check_id(const batch *b, const imgq_id *id, imgq_error *err)
{
    const size_t len = strnlen(id->text, sizeof id->text);
    if (!iq_id_is_valid(id->text, len))
        return iq_fail(err, IMGQ_E_INVALID, 0, "id \"%.65s\": 1 to %d of letters, digits, '_', '.', ':' and '-'",
                       id->text, (int)IQ_ID_MAX);
    /* One of the library's own is taken again only after a submission of this handle whose outcome was not known. */
    if (id->text[0] == '_' && !iq_inbox_follows(b->queue->inbox, id))
        return iq_fail(err, IMGQ_E_INVALID, 0, "id \"%s\": those that begin with '_' are the library's own", id->text);
    return IMGQ_OK;
}

/* ---- filling a round trip ---- */

static imgq_status write_digest(const batch *b, iq_buf *tlv, const iq_buf *options, const imgq_payload *payload,
                                imgq_error *err)
{
    uint8_t digest[32];
    iq_sha256 *hash = iq_sha256_begin();
    if (hash == NULL)
        return iq_fail_nomem(err, 1);
    iq_sha256_add(hash, options->data, options->len);
    iq_sha256_add(hash, payload->bytes, payload->len);
    iq_sha256_end(hash, digest);
    iq_tlv_put(b->queue->env, tlv, IQ_TLV_DIGEST, digest, 16);
    return IMGQ_OK;
}

static imgq_status write_tlv(const batch *b, iq_buf *tlv, const imgq_payload *payload, bool with_digest,
                             imgq_error *err)
{
    const imgq_queue *queue = b->queue;
    iq_buf options = {0};
    imgq_status status = IMGQ_OK;
    iq_job_options_write(queue->env, &options, &b->job_options);
    if (queue->owner_len > 0)
        iq_tlv_put(queue->env, tlv, IQ_TLV_OWNER, queue->owner, queue->owner_len);
    if (with_digest && !options.failed)
        status = write_digest(b, tlv, &options, payload, err);
    if (options.len > 0)
        (void)iq_buf_append(queue->env, tlv, options.data, options.len);
    if (status == IMGQ_OK && (options.failed || tlv->failed))
        status = iq_fail_nomem(err, tlv->len);
    iq_buf_release(queue->env, &options);
    return status;
}

static void choose_id(const batch *b, size_t index, imgq_id *id, bool *own)
{
    memset(id, 0, sizeof *id);
    *own = b->options.id == NULL;
    if (*own)
        iq_id_make(id->text, 0);
    else
        memcpy(id->text, b->options.id[index].text, sizeof id->text - 1);
}

static imgq_status fill(batch *b, size_t index, imgq_error *err)
{
    const imgq_payload *payload = &b->payloads[index];
    iq_submission *job = &b->jobs[b->count];
    bool own;
    memset(job, 0, sizeof *job);
    choose_id(b, index, &job->id, &own);
    if (b->ids != NULL)
        b->ids[index] = job->id;
    imgq_status status = own ? IMGQ_OK : check_id(b, &b->options.id[index], err);
    if (status == IMGQ_OK)
        status = iq_submit_check_payload(b->queue->env, &b->options, payload, err);
    if (status == IMGQ_OK)
        status = write_tlv(b, &b->options_of[b->count], payload, job->id.text[0] != '_', err);
    if (status != IMGQ_OK)
        return status;
    job->priority = b->options.priority_plus_1 > 0 ? b->options.priority_plus_1 - 1 : DEFAULT_PRIORITY;
    job->flags = b->options.session_bound ? 256u * IQ_FLAG2_SESSION : 0;
    job->max_fails = b->options.max_fails;
    job->max_crashes = b->options.max_crashes;
    job->delay_ms = b->options.delay_ms;
    job->deadline_ms = b->options.deadline_ms;
    job->made_ns = iq_clock_ns();
    job->tlv = b->options_of[b->count].data;
    job->tlv_len = b->options_of[b->count].len;
    job->payload = payload->bytes;
    job->payload_len = payload->len;
    iq_random(job->nonce, sizeof job->nonce);
    if (b->queue->options.keep_payload) {
        b->kept[b->count] = iq_submission_copy(b->queue->env, job);
        if (b->kept[b->count] == NULL)
            return iq_fail_nomem(err, payload->len);
    }
    status = iq_inbox_begin(b->queue->inbox, &job->id, err);
    if (status != IMGQ_OK)
        return status;
    b->index[b->count++] = index;
    b->bytes += payload->len;
    return IMGQ_OK;
}

static void empty_slot(batch *b, size_t slot)
{
    iq_buf_release(b->queue->env, &b->options_of[slot]);
    iq_submission_free(b->queue->env, b->kept[slot]);
    b->kept[slot] = NULL;
}

/* ---- what became of each ---- */

static void tell(batch *b, size_t index, imgq_status status, const imgq_error *why)
{
    if (b->each != NULL)
        b->each[index] = status;
    if (status != IMGQ_OK && b->first == IMGQ_OK) {
        b->first = status;
        if (b->err != NULL && why != NULL)
            *b->err = *why;
    }
}

static void settle(batch *b, size_t slot, iq_outcome outcome, const iq_look *look, imgq_status status,
                   const imgq_error *why)
{
    iq_inbox_settle(b->queue->inbox, &b->jobs[slot].id, outcome, look, b->kept[slot]);
    b->kept[slot] = NULL;
    tell(b, b->index[slot], status, why);
    empty_slot(b, slot);
}

static void settle_all(batch *b, iq_outcome outcome, imgq_status status, const imgq_error *why)
{
    for (size_t slot = 0; slot < b->count; slot++)
        settle(b, slot, outcome, NULL, status, why);
    b->count = b->bytes = 0;
}

static uint32_t retry_of(const iq_reply *answer)
{
    int64_t wait_ms;
    if (!iq_reply_int(iq_reply_at(answer, 1), &wait_ms) || wait_ms < 1)
        return 1000;
    return wait_ms < 60000 ? iq_queue_jitter((uint32_t)wait_ms) : 60000;
}

static imgq_status fail_busy(imgq_queue *queue, const char *id, const char *why, uint32_t retry_after_ms,
                             imgq_error *err)
{
    const imgq_status status = iq_fail(err, IMGQ_E_BUSY, 0, "submit job %s: queue %s %s, again in %" PRIu32 " ms", id,
                                       queue->name, why, retry_after_ms);
    err->retry_after_ms = retry_after_ms;
    atomic_store_explicit(&queue->busy_until_ns, iq_clock_ns() + (int64_t)retry_after_ms * 1000000,
                          memory_order_relaxed);
    return status;
}

/* @return true if this job has to be staged once more */
static bool take_answer(batch *b, size_t slot, const iq_reply *answer)
{
    imgq_queue *queue = b->queue;
    const char *id = b->jobs[slot].id.text;
    imgq_error why = {0};
    iq_look look;
    int64_t code = -1;
    (void)iq_reply_int(iq_reply_at(answer, 0), &code);
    switch (code) {
    case IQ_SUBMIT_NEW:
        settle(b, slot, IQ_OUTCOME_ACCEPTED, NULL, IMGQ_OK, NULL);
        return false;
    case IQ_SUBMIT_DUP:
        settle(b, slot, IQ_OUTCOME_ACCEPTED, iq_look_read_tail(&look, answer, 1) ? &look : NULL, IMGQ_OK, NULL);
        return false;
    case IQ_SUBMIT_BUSY:
        (void)fail_busy(queue, id, "is full", retry_of(answer), &why);
        break;
    case IQ_SUBMIT_CLOSED:
        (void)fail_busy(queue, id, "accepts nothing now (paused)", retry_of(answer), &why);
        break;
    case IQ_SUBMIT_CONFLICT:
        (void)iq_fail(&why, IMGQ_E_CONFLICT, 0, "submit job %s: the id is taken by another content or owner", id);
        break;
    case IQ_SUBMIT_BADARG:
        (void)iq_fail(&why, IMGQ_E_INVALID, 0, "submit job %s: %s", id, iq_reply_at(answer, 1)->text);
        break;
    case IQ_SUBMIT_RESTAGE:
        return true;
    default:
        (void)iq_fail(&why, IMGQ_E_PROTOCOL, 0, "submit job %s: the answer is none of this protocol", id);
        settle(b, slot, IQ_OUTCOME_UNKNOWN, NULL, why.status, &why);
        return false;
    }
    settle(b, slot, IQ_OUTCOME_REFUSED, NULL, why.status, &why);
    return false;
}

/* The jobs to be staged once more move to the front. */
static void take_answers(batch *b, const iq_reply *reply)
{
    size_t left = 0;
    b->bytes = 0;
    for (size_t slot = 0; slot < b->count; slot++) {
        if (!take_answer(b, slot, iq_reply_at(reply, 3 + slot)))
            continue;
        if (left != slot) {
            b->jobs[left] = b->jobs[slot];
            b->options_of[left] = b->options_of[slot];
            b->kept[left] = b->kept[slot];
            b->index[left] = b->index[slot];
            b->options_of[slot] = (iq_buf){0};
            b->kept[slot] = NULL;
        }
        /* What stands there under the id was another's staging and is gone now. */
        iq_random(b->jobs[left].nonce, sizeof b->jobs[left].nonce);
        b->bytes += b->jobs[left].payload_len;
        left++;
    }
    b->count = left;
}

/* ---- round trips ---- */

static void add_session(const imgq_queue *queue, iq_commands *commands)
{
    const iq_key key = iq_key_session(&queue->keys, queue->rid);
    iq_commands_add(commands, "SET");
    iq_commands_copy(commands, key.text, key.len);
    iq_commands_bytes(commands, queue->owner, queue->owner_len);
    iq_commands_text(commands, "PX");
    iq_commands_int(commands, SESSION_MS);
}

/* Refusals of the whole call: nothing was written, unless a right was missing in the middle of it. */
static void settle_refused(batch *b, const iq_reply *reply)
{
    imgq_error why = {0};
    const imgq_status status = iq_queue_reply_check(reply, "submit", &why);
    if (status == IMGQ_E_BUSY)
        (void)fail_busy(b->queue, b->jobs[0].id.text,
                        iq_reply_is_error(reply, "OOM") ? "has no memory left (maxmemory)" : "is not writable now",
                        why.retry_after_ms, &why);
    settle_all(b, status == IMGQ_E_DENIED ? IQ_OUTCOME_UNKNOWN : IQ_OUTCOME_REFUSED, why.status, &why);
}

static void send_once(batch *b, iq_deadline deadline)
{
    iq_commands commands;
    iq_reply *replies[IQ_SUBMIT_MAX_JOBS + 2] = {NULL};
    imgq_error why = {0};
    const iq_request request = {.line = IQ_LINE_COMMAND, .flags = IQ_CALL_PATIENT, .deadline = deadline};
    iq_commands_init(&commands, b->queue->env);
    if (b->options.session_bound)
        add_session(b->queue, &commands);
    iq_submissions_add(b->queue, &commands, b->jobs, b->count);
    const imgq_status status = iq_queue_run(b->queue, &commands, &request, replies, &why);
    const size_t last = commands.count - 1;
    if (status != IMGQ_OK) {
        settle_all(b, IQ_OUTCOME_UNKNOWN, status, &why);
        b->away = status;
        b->away_error = why;
    } else if (replies[last]->type == IQ_REPLY_ERROR)
        settle_refused(b, replies[last]);
    else
        take_answers(b, replies[last]);
    iq_queue_free_replies(replies, commands.count);
    iq_commands_release(&commands);
}

/* While the queue said "later", ask whether there is room before large payloads travel for nothing.
 * @return false: there is none, and the jobs were told so */
static bool ask_for_room(batch *b, iq_deadline deadline)
{
    imgq_queue *queue = b->queue;
    iq_commands commands;
    iq_reply *reply = NULL;
    imgq_error why = {0};
    int64_t wait_ms = 0;
    const iq_request request = {.line = IQ_LINE_COMMAND, .deadline = deadline};
    if (b->bytes <= IQ_SUBMIT_STAGE_OVER ||
        iq_clock_ns() >= atomic_load_explicit(&queue->busy_until_ns, memory_order_relaxed))
        return true;
    iq_commands_init(&commands, queue->env);
    iq_submissions_add(queue, &commands, NULL, 0);
    /* An answer of any other kind is for the submission itself to meet. */
    if (iq_queue_run(queue, &commands, &request, &reply, &why) == IMGQ_OK)
        (void)iq_reply_int(iq_reply_at(reply, 2), &wait_ms);
    iq_reply_free(reply);
    iq_commands_release(&commands);
    if (wait_ms <= 0)
        return true;
    (void)fail_busy(queue, b->jobs[0].id.text, "is full", wait_ms < 60000 ? (uint32_t)wait_ms : 60000, &why);
    settle_all(b, IQ_OUTCOME_REFUSED, why.status, &why);
    return false;
}

static void flush(batch *b)
{
    if (b->count == 0)
        return;
    if (b->away != IMGQ_OK) {
        settle_all(b, IQ_OUTCOME_UNKNOWN, b->away, &b->away_error);
        return;
    }
    const iq_deadline deadline = iq_queue_deadline(b->queue);
    if (!ask_for_room(b, deadline))
        return;
    for (int tries = 0; b->count > 0 && tries <= MAX_RESTAGES; tries++)
        send_once(b, deadline);
    if (b->count > 0) {
        imgq_error why;
        (void)fail_busy(b->queue, b->jobs[0].id.text, "is being given the same id by another", 100, &why);
        settle_all(b, IQ_OUTCOME_REFUSED, why.status, &why);
    }
}

static imgq_status submit_all(batch *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        imgq_error why = {0};
        const size_t len = b->payloads[i].len;
        if (b->count == IQ_SUBMIT_MAX_JOBS || (b->count > 0 && len > (size_t)IQ_SUBMIT_MAX_BYTES - b->bytes))
            flush(b);
        const imgq_status status = fill(b, i, &why);
        if (status != IMGQ_OK) {
            empty_slot(b, b->count);
            tell(b, i, status, &why);
        } else if (b->bytes >= IQ_SUBMIT_MAX_BYTES) {
            flush(b);
        }
    }
    flush(b);
    return b->first;
}

imgq_status imgq_queue_submit_many(imgq_queue *queue, const imgq_payload *payloads, size_t count,
                                   const imgq_submit_options *options, imgq_id *ids, imgq_status *each, imgq_error *err)
{
    if (payloads == NULL && count > 0)
        return iq_fail(err, IMGQ_E_INVALID, 0, "submit %zu payloads at no address", count);
    batch *b = iq_alloc_array(queue->env, 1, sizeof *b);
    if (b == NULL)
        return iq_fail_nomem(err, sizeof *b);
    *b = (batch){.queue = queue, .payloads = payloads, .ids = ids, .each = each, .err = err};
    imgq_status status = iq_options_copy(&b->options, sizeof b->options, options, err);
    if (status == IMGQ_OK)
        status = iq_submit_check_options(&b->options, &b->job_options, err);
    if (status == IMGQ_OK)
        status = iq_inbox_subscribe(queue->inbox, iq_queue_deadline(queue), err);
    if (status == IMGQ_OK && b->options.session_bound)
        iq_inbox_bind_session(queue->inbox);
    if (status == IMGQ_OK)
        status = submit_all(b, count);
    else
        for (size_t i = 0; i < count && each != NULL; i++)
            each[i] = status;
    iq_free(queue->env, b);
    return status;
}

imgq_status imgq_queue_submit(imgq_queue *queue, const void *payload, size_t len, const imgq_submit_options *options,
                              imgq_id *id, imgq_error *err)
{
    const imgq_payload one = {.bytes = payload, .len = len};
    return imgq_queue_submit_many(queue, &one, 1, options, id, NULL, err);
}
