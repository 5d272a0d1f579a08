#include "queue/submit_check.h"

#include "base/env.h"
#include "base/fail.h"

#include <inttypes.h>
#include <string.h>

enum {
    DEFAULT_TOP = 5,
    MAX_TOP = 100,
    MAX_ATTEMPTS = 1000,
    MAX_PAYLOAD = 32 << 20 /* what the protocol takes; the env may say less */
};
#define MAX_DURATION_MS INT64_C(31622400000) /* 366 days */

static imgq_status check_name(char *out, size_t out_size, const char *name, const char *what, imgq_error *err)
{
    out[0] = '\0';
    if (name == NULL)
        return IMGQ_OK;
    const size_t len = strnlen(name, out_size);
    size_t good = 0;
    while (good < len && (unsigned char)name[good] >= ' ' && name[good] != 127)
        good++;
    if (len == out_size || good < len)
        return iq_fail(err, IMGQ_E_INVALID, 0, "%s \"%.80s\": at most %zu printable characters", what, name,
                       out_size - 1);
    memcpy(out, name, len + 1);
    return IMGQ_OK;
}

static imgq_status check_duration(int64_t value_ms, int64_t max_ms, const char *what, imgq_error *err)
{
    if (value_ms < 0 || value_ms > max_ms)
        return iq_fail(err, IMGQ_E_INVALID, 0, "%s of %" PRId64 " ms: 0 to %" PRId64, what, value_ms, max_ms);
    return IMGQ_OK;
}

static imgq_status check_number(uint32_t value, uint32_t max, const char *what, imgq_error *err)
{
    if (value > max)
        return iq_fail(err, IMGQ_E_INVALID, 0, "%s %" PRIu32 ": at most %" PRIu32, what, value, max);
    return IMGQ_OK;
}

static imgq_status check_media(const imgq_submit_options *options, imgq_error *err)
{
    const imgq_status status = check_number(options->media, IMGQ_MEDIA_F32, "media", err);
    if (status != IMGQ_OK)
        return status;
    const bool tensor = options->media != IMGQ_MEDIA_ENCODED;
    if (tensor && (options->width == 0 || options->height == 0 || options->width > 65535 || options->height > 65535))
        return iq_fail(err, IMGQ_E_INVALID, 0, "tensor of %" PRIu32 " x %" PRIu32 ": sides of 1 to 65535",
                       options->width, options->height);
    return IMGQ_OK;
}

imgq_status iq_submit_check_options(const imgq_submit_options *options, iq_job_options *job, imgq_error *err)
{
    iq_job_options_read(job, NULL, 0);
    imgq_status status = check_media(options, err);
    if (status == IMGQ_OK)
        status = check_name(job->profile, sizeof job->profile, options->profile, "profile", err);
    if (status == IMGQ_OK)
        status = check_name(job->model, sizeof job->model, options->model, "model", err);
    if (status == IMGQ_OK)
        status = check_number(options->priority_plus_1, 10, "priority + 1 of", err);
    if (status == IMGQ_OK)
        status = check_number(options->top_count, MAX_TOP, "top count", err);
    if (status == IMGQ_OK)
        status = check_number(options->max_fails, MAX_ATTEMPTS, "max fails", err);
    if (status == IMGQ_OK)
        status = check_number(options->max_crashes, MAX_ATTEMPTS, "max crashes", err);
    if (status == IMGQ_OK)
        status = check_number(options->exif, IMGQ_EXIF_APPLY, "exif", err);
    if (status == IMGQ_OK)
        status = check_duration(options->delay_ms, MAX_DURATION_MS, "delay", err);
    if (status == IMGQ_OK)
        status = check_duration(options->deadline_ms, MAX_DURATION_MS, "deadline", err);
    if (status == IMGQ_OK)
        status = check_duration(options->result_ttl_ms, UINT32_MAX, "result TTL", err);
    if (status != IMGQ_OK)
        return status;
    job->media = options->media;
    job->width = options->media != IMGQ_MEDIA_ENCODED ? options->width : 0;
    job->height = options->media != IMGQ_MEDIA_ENCODED ? options->height : 0;
    job->top_count = options->top_count > 0 ? options->top_count : DEFAULT_TOP;
    job->exif = options->exif;
    job->use_background = options->use_background != 0;
    memcpy(job->background, options->background, sizeof job->background);
    job->result_ttl_ms = (uint32_t)options->result_ttl_ms;
    return IMGQ_OK;
}

imgq_status iq_submit_check_payload(const imgq_env *env, const imgq_submit_options *options,
                                    const imgq_payload *payload, imgq_error *err)
{
    const size_t from_env = iq_env_max_payload_bytes(env);
    const size_t limit = from_env < MAX_PAYLOAD ? from_env : MAX_PAYLOAD;
    if (payload->bytes == NULL && payload->len > 0)
        return iq_fail(err, IMGQ_E_INVALID, 0, "payload of %zu bytes at no address", payload->len);
    if (payload->len > limit)
        return iq_fail(err, IMGQ_E_LIMIT, 0, "payload of %zu bytes, the limit is %zu", payload->len, limit);
    if (options->media != IMGQ_MEDIA_ENCODED) {
        const uint64_t sample = options->media == IMGQ_MEDIA_F32 ? 4 : 1;
        const uint64_t want = (uint64_t)options->width * options->height * 3 * sample;
        if (payload->len != want)
            return iq_fail(err, IMGQ_E_INVALID, 0,
                           "payload of %zu bytes, a tensor of %" PRIu32 " x %" PRIu32 " has %" PRIu64, payload->len,
                           options->width, options->height, want);
    }
    return IMGQ_OK;
}
