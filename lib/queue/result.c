#include "queue/result.h"

#include <imgq/admin.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/env.h"
#include "base/fail.h"
#include "base/id.h"
#include "base/json.h"
#include "base/options.h"

#include <math.h>
#include <string.h>

enum { RESULT_SCHEMA = 1 };

struct imgq_result {
    imgq_env *env;  /* held */
    iq_arena arena; /* every string below */
    imgq_id id;
    imgq_status status;
    const char *message, *json;
    size_t json_len;
    imgq_prediction *top;
    const char **labels;
    size_t top_count;
    imgq_result_info info;
};

/* ---- writing ---- */

static void write_named_text(imgq_env *env, iq_buf *json, const char *name, const char *text)
{
    if (text == NULL)
        return;
    (void)iq_buf_append_format(env, json, ",\"%s\":", name); /* the whole series is checked by json->failed */
    (void)iq_json_write_text(env, json, text);
}

static imgq_status write_top(imgq_env *env, iq_buf *json, const imgq_answer *answer, imgq_error *err)
{
    (void)iq_buf_append_text(env, json, "\"top\":[");
    for (size_t i = 0; i < answer->top_count; i++) {
        if (!isfinite(answer->top[i].probability))
            return iq_fail(err, IMGQ_E_INVALID, 0, "prediction %zu is no finite number", i);
        const char *label = answer->labels != NULL ? answer->labels[i] : NULL;
        (void)iq_buf_append_text(env, json, i == 0 ? "[" : ",[");
        if (answer->top[i].class_id == IMGQ_CLASS_NONE)
            (void)iq_buf_append_text(env, json, "null,");
        else
            (void)iq_buf_append_format(env, json, "%u,", (unsigned)answer->top[i].class_id);
        (void)iq_json_write_text(env, json, label != NULL ? label : "");
        (void)iq_buf_append_text(env, json, ",");
        (void)iq_json_write_float(env, json, answer->top[i].probability);
        (void)iq_buf_append_text(env, json, "]");
    }
    (void)iq_buf_append_text(env, json, "]");
    return IMGQ_OK;
}

static void write_origin(imgq_env *env, iq_buf *json, const imgq_answer *answer, const iq_result_origin *origin)
{
    write_named_text(env, json, "model", answer->model);
    write_named_text(env, json, "model_hash", answer->model_hash);
    write_named_text(env, json, "profile", answer->profile);
    write_named_text(env, json, "engine", answer->engine);
    write_named_text(env, json, "precision", answer->precision);
    write_named_text(env, json, "worker", origin->worker);
    (void)iq_buf_append_format(env, json, ",\"attempt\":%u,\"batch\":%u", (unsigned)origin->attempt,
                               (unsigned)answer->batch);
    (void)iq_buf_append_format(env, json, ",\"exif\":{\"orientation\":%u,\"applied\":%s}",
                               (unsigned)answer->exif_orientation, answer->exif_applied ? "true" : "false");
    (void)iq_buf_append_text(env, json, ",\"ms\":{\"queue\":");
    (void)iq_json_write_fixed(env, json, origin->queue_ms, 3);
    (void)iq_buf_append_text(env, json, ",\"decode\":");
    (void)iq_json_write_fixed(env, json, answer->decode_ms, 3);
    (void)iq_buf_append_text(env, json, ",\"compute\":");
    (void)iq_json_write_fixed(env, json, answer->compute_ms, 3);
    (void)iq_buf_append_text(env, json, "}");
}

imgq_status iq_result_write(imgq_env *env, iq_buf *json, const imgq_answer *answer, const iq_result_origin *origin,
                            imgq_error *err)
{
    const size_t before = json->len;
    if (answer->top_count > IQ_RESULT_TOP_MAX)
        return iq_fail(err, IMGQ_E_LIMIT, 0, "answer of %zu predictions, the limit is %d", answer->top_count,
                       (int)IQ_RESULT_TOP_MAX);
    (void)iq_buf_append_format(env, json, "{\"schema\":%d,", (int)RESULT_SCHEMA);
    const imgq_status status = write_top(env, json, answer, err);
    if (status != IMGQ_OK)
        return status;
    write_origin(env, json, answer, origin);
    (void)iq_buf_append_text(env, json, "}");
    if (json->failed)
        return iq_fail_nomem(err, json->len);
    if (json->len - before > IQ_RESULT_MAX)
        return iq_fail(err, IMGQ_E_LIMIT, 0, "result of %zu bytes, the limit is %d", json->len - before,
                       (int)IQ_RESULT_MAX);
    return IMGQ_OK;
}

/* ---- reading ---- */

static imgq_status create(imgq_env *env, const char *id, imgq_result **out, imgq_error *err)
{
    imgq_result *result = iq_alloc_array(env, 1, sizeof *result);
    if (result == NULL)
        return iq_fail_nomem(err, sizeof *result);
    result->env = iq_env_hold(env);
    result->arena.env = env;
    const size_t id_len = strnlen(id, IQ_ID_MAX);
    memcpy(result->id.text, id, id_len);
    result->id.text[id_len] = '\0';
    result->message = "";
    result->json = "";
    result->info.size = sizeof result->info;
    result->info.model = result->info.model_hash = result->info.profile = "";
    result->info.engine = result->info.precision = result->info.worker = "";
    *out = result;
    return IMGQ_OK;
}

/* "" where the member is missing or no text; NULL when memory ran out. */
static const char *keep_text(imgq_result *result, const iq_json *value)
{
    const char *text = iq_json_text(value);
    if (text == NULL)
        return "";
    return iq_arena_strndup(&result->arena, text, strlen(text));
}

static uint32_t number_u32(const iq_json *value)
{
    uint64_t number = 0;
    return iq_json_uint(value, &number) && number <= UINT32_MAX ? (uint32_t)number : 0;
}

static double number_ms(const iq_json *value)
{
    const double number = iq_json_number(value, 0);
    return number >= 0 && number < 1e15 ? number : 0;
}

static imgq_status read_prediction(imgq_result *result, size_t index, const iq_json *entry, imgq_error *err)
{
    const iq_json *label = iq_json_at(entry, 1);
    uint64_t class_id = IMGQ_CLASS_NONE;
    const bool none = iq_json_is_null(iq_json_at(entry, 0));
    const double probability = iq_json_number(iq_json_at(entry, 2), NAN);
    if (!iq_json_is_array(entry) || iq_json_count(entry) != 3 ||
        (!none && !iq_json_uint(iq_json_at(entry, 0), &class_id)) || class_id > UINT32_MAX ||
        iq_json_text(label) == NULL || !isfinite((float)probability))
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "prediction %zu is not [class, label, probability]", index);
    if (strlen(iq_json_text(label)) > IQ_RESULT_LABEL_MAX)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "prediction %zu has a label of %zu bytes", index,
                       strlen(iq_json_text(label)));
    result->top[index].class_id = (uint32_t)class_id;
    result->top[index].probability = (float)probability;
    result->labels[index] = keep_text(result, label);
    return result->labels[index] != NULL ? IMGQ_OK : iq_fail_nomem(err, 1);
}

static imgq_status read_top(imgq_result *result, const iq_json *top, imgq_error *err)
{
    const size_t count = iq_json_count(top);
    if (!iq_json_is_array(top) || count > IQ_RESULT_TOP_MAX)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "\"top\" is no list of at most %d predictions", (int)IQ_RESULT_TOP_MAX);
    result->top = iq_arena_alloc(&result->arena, (count + 1) * sizeof *result->top);
    result->labels = iq_arena_alloc(&result->arena, (count + 1) * sizeof *result->labels);
    if (result->top == NULL || result->labels == NULL)
        return iq_fail_nomem(err, (count + 1) * sizeof *result->top);
    size_t index = 0;
    for (const iq_json *entry = iq_json_first(top); entry != NULL; entry = iq_json_next(entry), index++) {
        const imgq_status status = read_prediction(result, index, entry, err);
        if (status != IMGQ_OK)
            return status;
    }
    result->top_count = count;
    return IMGQ_OK;
}

static imgq_status read_info(imgq_result *result, const iq_json *root, imgq_error *err)
{
    imgq_result_info *info = &result->info;
    info->model = keep_text(result, iq_json_get(root, "model"));
    info->model_hash = keep_text(result, iq_json_get(root, "model_hash"));
    info->profile = keep_text(result, iq_json_get(root, "profile"));
    info->engine = keep_text(result, iq_json_get(root, "engine"));
    info->precision = keep_text(result, iq_json_get(root, "precision"));
    info->worker = keep_text(result, iq_json_get(root, "worker"));
    if (info->model == NULL || info->model_hash == NULL || info->profile == NULL || info->engine == NULL ||
        info->precision == NULL || info->worker == NULL)
        return iq_fail_nomem(err, 1);
    const iq_json *exif = iq_json_get(root, "exif");
    const iq_json *ms = iq_json_get(root, "ms");
    info->attempt = number_u32(iq_json_get(root, "attempt"));
    info->batch = number_u32(iq_json_get(root, "batch"));
    info->exif_orientation = number_u32(iq_json_get(exif, "orientation"));
    info->exif_applied = iq_json_bool(iq_json_get(exif, "applied"), false);
    info->queue_ms = number_ms(iq_json_get(ms, "queue"));
    info->decode_ms = number_ms(iq_json_get(ms, "decode"));
    info->compute_ms = number_ms(iq_json_get(ms, "compute"));
    return IMGQ_OK;
}

static imgq_status read_json(imgq_result *result, const void *body, size_t len, imgq_error *err)
{
    iq_json *root = NULL;
    uint64_t schema = 0;
    if (len > IQ_RESULT_MAX)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "%zu bytes, the limit is %d", len, (int)IQ_RESULT_MAX);
    imgq_status status = iq_json_parse(body, len, &root, err);
    if (status != IMGQ_OK)
        return status;
    if (!iq_json_is_object(root) || !iq_json_uint(iq_json_get(root, "schema"), &schema))
        status = iq_fail(err, IMGQ_E_CORRUPT, 0, "no \"schema\" in it");
    else if (schema != RESULT_SCHEMA)
        status = iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "schema %llu, this library reads %d", (unsigned long long)schema,
                         (int)RESULT_SCHEMA);
    if (status == IMGQ_OK)
        status = read_top(result, iq_json_get(root, "top"), err);
    if (status == IMGQ_OK)
        status = read_info(result, root, err);
    iq_json_free(root);
    return status;
}

/* What cannot be read is a result too: its status says so, and the waiter is not left waiting. */
static imgq_status set_unreadable(imgq_result *result, imgq_status why, const imgq_error *detail, imgq_error *err)
{
    imgq_error whole;
    result->top_count = 0;
    result->status = why == IMGQ_E_UNSUPPORTED ? IMGQ_E_UNSUPPORTED : IMGQ_E_CORRUPT;
    (void)iq_fail(&whole, result->status, 0, "result of job %s is not readable: %.140s", result->id.text,
                  detail->message);
    result->message = iq_arena_strndup(&result->arena, whole.message, strlen(whole.message));
    return result->message != NULL ? IMGQ_OK : iq_fail_nomem(err, sizeof whole.message);
}

static imgq_status set_success(imgq_result *result, const void *body, size_t body_len, imgq_error *err)
{
    imgq_error detail = {0};
    char *json = iq_arena_strndup(&result->arena, body, body_len);
    if (json == NULL)
        return iq_fail_nomem(err, body_len);
    result->json = json;
    result->json_len = body_len;
    const imgq_status status = read_json(result, body, body_len, &detail);
    if (status == IMGQ_E_NOMEM)
        return iq_fail_nomem(err, body_len);
    return status == IMGQ_OK ? IMGQ_OK : set_unreadable(result, status, &detail, err);
}

/* Control characters of a foreign text would break the "one line" of messages. */
static imgq_status set_message(imgq_result *result, const void *text, size_t len, imgq_error *err)
{
    const size_t keep = len < 512 ? len : 512;
    char *copy = iq_arena_strndup(&result->arena, text != NULL ? text : "", keep);
    if (copy == NULL)
        return iq_fail_nomem(err, keep);
    for (size_t i = 0; i < keep; i++) {
        if ((unsigned char)copy[i] < ' ' || copy[i] == 127)
            copy[i] = ' ';
    }
    result->message = copy;
    return IMGQ_OK;
}

static imgq_status set_state(imgq_result *result, int state, uint16_t error, const void *body, size_t body_len,
                             imgq_error *err)
{
    static const char cancelled[] = "cancelled", expired[] = "deadline passed", failed[] = "failed";
    switch (state) {
    case IMGQ_STATE_SUCCEEDED:
        return set_success(result, body, body_len, err);
    case IMGQ_STATE_CANCELLED:
        result->status = IMGQ_E_CANCELLED;
        return body_len > 0 ? set_message(result, body, body_len, err)
                            : set_message(result, cancelled, sizeof cancelled - 1, err);
    case IMGQ_STATE_EXPIRED:
        result->status = IMGQ_E_TIMEOUT;
        return body_len > 0 ? set_message(result, body, body_len, err)
                            : set_message(result, expired, sizeof expired - 1, err);
    case IMGQ_STATE_DEAD:
        result->status = error >= 1 && error <= -IMGQ_STATUS_LAST ? -(int)error : IMGQ_E_INTERNAL;
        return body_len > 0 ? set_message(result, body, body_len, err)
                            : set_message(result, failed, sizeof failed - 1, err);
    default: {
        imgq_error detail;
        (void)iq_fail(&detail, IMGQ_E_CORRUPT, 0, "state %d is no end", state);
        return set_unreadable(result, IMGQ_E_CORRUPT, &detail, err);
    }
    }
}

static imgq_status give(imgq_result *result, imgq_status status, imgq_result **out)
{
    if (status == IMGQ_OK)
        *out = result;
    else
        imgq_result_destroy(result);
    return status;
}

imgq_status iq_result_of_state(imgq_env *env, const char *id, int state, uint16_t error, const void *body,
                               size_t body_len, imgq_result **out, imgq_error *err)
{
    imgq_result *result = NULL;
    *out = NULL;
    imgq_status status = create(env, id, &result, err);
    if (status != IMGQ_OK)
        return status;
    status = set_state(result, state, error, body, body_len, err);
    return give(result, status, out);
}

imgq_status iq_result_of_failure(imgq_env *env, const char *id, imgq_status why, const char *message, imgq_result **out,
                                 imgq_error *err)
{
    imgq_result *result = NULL;
    *out = NULL;
    imgq_status status = create(env, id, &result, err);
    if (status != IMGQ_OK)
        return status;
    result->status = why;
    status = set_message(result, message, strlen(message), err);
    return give(result, status, out);
}

imgq_status iq_result_of_answer(imgq_env *env, const char *id, const imgq_answer *answer,
                                const iq_result_origin *origin, imgq_result **out, imgq_error *err)
{
    iq_buf json = {0};
    *out = NULL;
    imgq_status status = iq_result_write(env, &json, answer, origin, err);
    if (status == IMGQ_OK)
        status = iq_result_of_state(env, id, IMGQ_STATE_SUCCEEDED, 0, json.data, json.len, out, err);
    iq_buf_release(env, &json);
    return status;
}

/* ---- the public getters ---- */

imgq_status imgq_result_status(const imgq_result *result)
{
    return result->status;
}

const char *imgq_result_message(const imgq_result *result)
{
    return result->message;
}

imgq_id imgq_result_id(const imgq_result *result)
{
    return result->id;
}

const imgq_prediction *imgq_result_top(const imgq_result *result, size_t *count)
{
    *count = result->top_count;
    return result->top;
}

const char *imgq_result_label(const imgq_result *result, size_t index)
{
    return index < result->top_count ? result->labels[index] : NULL;
}

const char *imgq_result_json(const imgq_result *result, size_t *len)
{
    if (len != NULL)
        *len = result->json_len;
    return result->json;
}

imgq_status imgq_result_get_info(const imgq_result *result, imgq_result_info *info, imgq_error *err)
{
    return iq_options_give(info, &result->info, sizeof result->info, err);
}

void imgq_result_destroy(imgq_result *result)
{
    if (result == NULL)
        return;
    imgq_env *env = result->env;
    iq_arena_release(&result->arena);
    iq_free(env, result);
    imgq_env_destroy(env);
}
