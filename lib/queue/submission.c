#include "queue/submission.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/clock.h"
#include "queue/keys.h"
#include "queue/queue.h"
#include "queue/record.h"
#include "queue/scripts.h"

#include <string.h>

iq_submission *iq_submission_copy(imgq_env *env, const iq_submission *submission)
{
    size_t size;
    if (iq_add_size(&size, sizeof *submission, submission->tlv_len) ||
        iq_add_size(&size, size, submission->payload_len))
        return NULL;
    iq_submission *copy = iq_alloc(env, size);
    if (copy == NULL)
        return NULL;
    *copy = *submission;
    uint8_t *behind = (uint8_t *)(copy + 1);
    if (submission->tlv_len > 0)
        memcpy(behind, submission->tlv, submission->tlv_len);
    copy->tlv = behind;
    behind += submission->tlv_len;
    if (submission->payload_len > 0)
        memcpy(behind, submission->payload, submission->payload_len);
    copy->payload = behind;
    return copy;
}

void iq_submission_free(imgq_env *env, iq_submission *submission)
{
    iq_free(env, submission);
}

static bool is_staged(const iq_submission *submission)
{
    return submission->payload_len > IQ_SUBMIT_STAGE_OVER;
}

/* The record as it will be, with letter N and the nonce where the reply id stands later. */
static void add_stage(const imgq_queue *queue, iq_commands *commands, const iq_submission *submission)
{
    iq_record head = {.version = IQ_RECORD_VERSION,
                      .state = IQ_STATE_STAGED,
                      .ext_len = (uint16_t)submission->tlv_len,
                      .payload_len = (uint32_t)submission->payload_len};
    const size_t size = IQ_HEADER_SIZE + submission->tlv_len + submission->payload_len;
    const iq_key key = iq_key_job(&queue->keys, submission->id.text);
    uint8_t *record = iq_arena_alloc(&commands->kept, size);
    if (record == NULL) {
        commands->failed = true;
        return;
    }
    memcpy(head.rid, submission->nonce, sizeof head.rid);
    iq_record_encode(record, &head);
    if (submission->tlv_len > 0)
        memcpy(record + IQ_HEADER_SIZE, submission->tlv, submission->tlv_len);
    memcpy(record + IQ_HEADER_SIZE + submission->tlv_len, submission->payload, submission->payload_len);
    iq_commands_add(commands, "SET");
    iq_commands_copy(commands, key.text, key.len);
    iq_commands_bytes(commands, record, size);
    iq_commands_text(commands, "NX");
    iq_commands_text(commands, "PX");
    iq_commands_int(commands, IQ_SUBMIT_STAGED_MS);
}

static void add_job(iq_commands *commands, const iq_submission *submission)
{
    const int64_t since_ms = (iq_clock_ns() - submission->made_ns) / 1000000;
    const int64_t delay_ms = submission->delay_ms > since_ms ? submission->delay_ms - since_ms : 0;
    int64_t deadline_ms = submission->deadline_ms;
    if (deadline_ms > 0)
        deadline_ms = deadline_ms > since_ms ? deadline_ms - since_ms : 1;
    iq_commands_text(commands, submission->id.text);
    iq_commands_uint(commands, submission->priority);
    iq_commands_uint(commands, submission->flags);
    iq_commands_int(commands, delay_ms);
    iq_commands_int(commands, deadline_ms);
    iq_commands_uint(commands, submission->max_fails);
    iq_commands_uint(commands, submission->max_crashes);
    iq_commands_bytes(commands, submission->tlv, submission->tlv_len);
    if (is_staged(submission)) {
        iq_commands_bytes(commands, submission->nonce, sizeof submission->nonce);
        iq_commands_uint(commands, submission->payload_len);
    } else {
        iq_commands_bytes(commands, NULL, 0);
        iq_commands_bytes(commands, submission->payload, submission->payload_len);
    }
}

void iq_submissions_add(const imgq_queue *queue, iq_commands *commands, const iq_submission *submissions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_staged(&submissions[i]))
            add_stage(queue, commands, &submissions[i]);
    }
    iq_queue_add_script(queue, commands, &iq_lua_submit);
    iq_commands_bytes(commands, queue->rid, sizeof queue->rid);
    iq_commands_bytes(commands, queue->owner, queue->owner_len);
    iq_commands_uint(commands, count);
    for (size_t i = 0; i < count; i++)
        add_job(commands, &submissions[i]);
}
