/* Items of reference producers: {"id": uuid, "image": base64 of float32 1 x 224 x 224 x 3}. They travel as they are and
 * are read here, by the worker, never inside Redis. */
#include "queue/job.h"

#include "base/alloc.h"
#include "base/crypto.h"
#include "base/fail.h"
#include "base/json.h"

#include <string.h>

enum { CHANNELS = 3, SIDE_MAX = 4096 };

/* The uuid becomes a key of the reference's: it must not be able to name one of ours. */
static imgq_status check_uuid(const char *uuid, imgq_error *err)
{
    const size_t len = uuid != NULL ? strlen(uuid) : 0;
    if (len == 0 || len > IQ_LEGACY_ID_MAX)
        return iq_fail(err, IMGQ_E_FORMAT, 0, "reference item: \"id\" must be a string of 1 to %d bytes",
                       IQ_LEGACY_ID_MAX);
    if (strncmp(uuid, "iq:", 3) == 0)
        return iq_fail(err, IMGQ_E_FORMAT, 0, "reference item: \"id\" must not begin with \"iq:\"");
    return IMGQ_OK;
}

/* The wire does not say the shape: the item is a square of three channels, or none. */
static uint32_t side_of(size_t bytes)
{
    for (uint32_t side = 1; side <= SIDE_MAX; side++) {
        const size_t want = (size_t)side * side * CHANNELS * sizeof(float);
        if (want >= bytes)
            return want == bytes ? side : 0;
    }
    return 0;
}

static imgq_status decode_tensor(imgq_job *job, const char *text, imgq_error *err)
{
    imgq_error why = {0};
    size_t len = 0;
    const size_t text_len = strlen(text);
    job->tensor = iq_alloc(job->queue->env, text_len / 4 * 3 + 1);
    if (job->tensor == NULL)
        return iq_fail_nomem(err, text_len / 4 * 3 + 1);
    if (iq_base64_decode(job->tensor, &len, text, text_len, &why) != IMGQ_OK)
        return iq_fail(err, IMGQ_E_FORMAT, 0, "reference item: \"image\": %s", why.message);
    const uint32_t side = side_of(len);
    if (side == 0)
        return iq_fail(err, IMGQ_E_FORMAT, 0,
                       "reference item: \"image\" has %zu bytes, which is no float32 image of 1 x n x n x 3", len);
    job->payload = job->tensor;
    job->payload_len = len;
    job->options.media = IMGQ_MEDIA_F32;
    job->options.width = job->options.height = side;
    return IMGQ_OK;
}

imgq_status iq_job_parse_item(imgq_job *job, imgq_error *err)
{
    iq_json *item = NULL;
    imgq_error why = {0};
    imgq_status status = iq_json_parse((const char *)job->payload, job->payload_len, &item, &why);
    if (status == IMGQ_E_NOMEM) {
        *err = why;
        return status;
    }
    if (status != IMGQ_OK)
        return iq_fail(err, IMGQ_E_FORMAT, 0, "reference item: no JSON: %s", why.message);
    const char *uuid = iq_json_text(iq_json_get(item, "id")), *image = iq_json_text(iq_json_get(item, "image"));
    status = check_uuid(uuid, err);
    if (status == IMGQ_OK && image == NULL)
        status = iq_fail(err, IMGQ_E_FORMAT, 0, "reference item: \"image\" must be a string");
    if (status == IMGQ_OK)
        status = decode_tensor(job, image, err);
    if (status == IMGQ_OK) {
        job->legacy_id = iq_strdup(job->queue->env, uuid);
        if (job->legacy_id == NULL)
            status = iq_fail_nomem(err, strlen(uuid));
    }
    iq_json_free(item);
    if (status == IMGQ_OK) {
        iq_reply_free(job->holder); /* the raw item stays in Redis; here it would only double the memory */
        job->holder = NULL;
    }
    return status;
}

imgq_status iq_reference_answer_write(imgq_env *env, iq_buf *json, const imgq_answer *answer, imgq_error *err)
{
    iq_buf_append_text(env, json, "[");
    for (size_t i = 0; i < answer->top_count; i++) {
        iq_buf_append_text(env, json, i > 0 ? ", {\"label\": " : "{\"label\": ");
        iq_json_write_text(env, json, answer->labels[i]);
        iq_buf_append_text(env, json, ", \"probability\": ");
        iq_json_write_float(env, json, answer->top[i].probability);
        iq_buf_append_text(env, json, "}");
    }
    iq_buf_append_text(env, json, "]");
    return json->failed ? iq_fail_nomem(err, json->len) : IMGQ_OK;
}
