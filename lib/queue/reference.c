/* The reference wire's producer: items pushed to a list, answers read from keys named by their uuid. */
#include <imgq/reference.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/env.h"
#include "base/fail.h"
#include "base/id.h"
#include "base/json.h"
#include "base/options.h"
#include "queue/keys.h"
#include "queue/result.h"
#include "redis/conn.h"

#include <string.h>

#define LIST_DEFAULT "image_queue"

enum { TOP_MAX = IQ_RESULT_TOP_MAX, IDS_MAX = 1024 };

struct imgq_reference {
    imgq_env *env;
    iq_conn *conn;
    iq_interrupt interrupt;
    int64_t call_ms;
    char *list;    /* owned */
    iq_buf item;   /* of the last push, memory kept */
    iq_buf tensor; /* little-endian bytes of it, memory kept */
};

static imgq_status open_inside(imgq_reference *reference, const char *url_text, const imgq_queue_options *options,
                               imgq_error *err)
{
    iq_url url = {0};
    iq_keys keys;
    const char *list = options->name != NULL ? options->name : LIST_DEFAULT;
    imgq_status status = iq_keys_of_list(&keys, list, err); /* the same rules for its name as where it is imported */
    if (status == IMGQ_OK)
        status = iq_interrupt_open(&reference->interrupt, err);
    if (status == IMGQ_OK)
        status = iq_url_parse(reference->env, url_text, &url, err);
    if (status != IMGQ_OK)
        return status;
    const uint32_t connect_ms = options->connect_ms > 0 ? options->connect_ms : IQ_CONN_CONNECT_MS;
    const uint32_t call_ms = options->call_ms > 0 ? options->call_ms : IQ_CONN_CALL_MS;
    const iq_conn_options how = {.username = options->username,
                                 .password = options->password,
                                 .client_name = options->client_name,
                                 .connect_ms = connect_ms,
                                 .call_ms = call_ms,
                                 .interrupt = &reference->interrupt};
    reference->call_ms = (int64_t)connect_ms + call_ms;
    reference->list = iq_strdup(reference->env, list);
    status = reference->list != NULL ? iq_conn_open(reference->env, &url, &how, &reference->conn, err)
                                     : iq_fail_nomem(err, strlen(list));
    iq_url_release(reference->env, &url);
    if (status == IMGQ_OK)
        status = iq_conn_ensure(reference->conn, iq_deadline_after_ms(reference->call_ms), err);
    return status;
}

imgq_status imgq_reference_open(imgq_env *env, const char *url, const imgq_queue_options *options, imgq_reference **out,
                                imgq_error *err)
{
    imgq_queue_options given;
    if (env == NULL || url == NULL || out == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "open a reference list without an env or a URL");
    *out = NULL;
    imgq_status status = iq_options_copy(&given, sizeof given, options, err);
    if (status != IMGQ_OK)
        return status;
    imgq_reference *reference = iq_alloc_array(env, 1, sizeof *reference);
    if (reference == NULL)
        return iq_fail_nomem(err, sizeof *reference);
    reference->env = iq_env_hold(env);
    reference->interrupt.fd = -1;
    status = open_inside(reference, url, &given, err);
    if (status != IMGQ_OK) {
        imgq_reference_close(reference);
        return status;
    }
    *out = reference;
    return IMGQ_OK;
}

void imgq_reference_close(imgq_reference *reference)
{
    if (reference == NULL)
        return;
    imgq_env *env = reference->env;
    iq_conn_close(reference->conn);
    iq_interrupt_close(&reference->interrupt);
    iq_buf_release(env, &reference->item);
    iq_buf_release(env, &reference->tensor);
    iq_free(env, reference->list);
    iq_free(env, reference);
    imgq_env_destroy(env);
}

void imgq_reference_interrupt(imgq_reference *reference)
{
    iq_interrupt_set(&reference->interrupt);
}

/* One command, one reply that is no error. @param repeat it may be executed twice */
static imgq_status call(imgq_reference *reference, iq_commands *commands, bool repeat, const char *what,
                        iq_reply **reply, imgq_error *err)
{
    const iq_call how = {.deadline = iq_deadline_after_ms(reference->call_ms), .repeat = repeat};
    *reply = NULL;
    imgq_status status = iq_conn_call(reference->conn, commands, &how, reply, err);
    if (status == IMGQ_OK)
        status = iq_reply_check(*reply, what, err);
    if (status != IMGQ_OK) {
        iq_reply_free(*reply);
        *reply = NULL;
    }
    return status;
}

static bool append_little_endian(imgq_reference *reference, const float *nhwc, size_t count)
{
    iq_buf *tensor = &reference->tensor;
    iq_buf_clear(tensor);
    if (!iq_buf_reserve(reference->env, tensor, count * sizeof *nhwc))
        return false;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &nhwc[i], sizeof bits);
        uint8_t *place = tensor->data + i * sizeof bits;
        place[0] = (uint8_t)bits;
        place[1] = (uint8_t)(bits >> 8);
        place[2] = (uint8_t)(bits >> 16);
        place[3] = (uint8_t)(bits >> 24);
    }
    tensor->len = count * sizeof *nhwc;
    return true;
}

/* {"id": "...", "image": "..."}, spelled as Python's json.dumps does. */
static imgq_status write_item(imgq_reference *reference, const char *uuid, const float *nhwc, size_t count,
                              imgq_error *err)
{
    imgq_env *env = reference->env;
    iq_buf *item = &reference->item;
    iq_buf_clear(item);
    item->failed = false;
    if (!append_little_endian(reference, nhwc, count))
        return iq_fail_nomem(err, count * sizeof *nhwc);
    const size_t base64_len = iq_base64_encoded_size(reference->tensor.len);
    iq_buf_append_text(env, item, "{\"id\": ");
    iq_json_write_text(env, item, uuid);
    iq_buf_append_text(env, item, ", \"image\": \"");
    if (iq_buf_reserve(env, item, base64_len + 1)) {
        iq_base64_encode((char *)item->data + item->len, reference->tensor.data, reference->tensor.len);
        item->len += base64_len;
    }
    iq_buf_append_text(env, item, "\"}");
    return item->failed ? iq_fail_nomem(err, base64_len) : IMGQ_OK;
}

imgq_status imgq_reference_push(imgq_reference *reference, const float *nhwc, size_t count, imgq_id *id,
                                imgq_error *err)
{
    char uuid[37];
    if (reference == NULL || nhwc == NULL || count == 0 || id == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "push without a tensor or a place for its id");
    memset(id, 0, sizeof *id);
    iq_uuid_make(uuid);
    imgq_status status = write_item(reference, uuid, nhwc, count, err);
    if (status != IMGQ_OK)
        return status;
    iq_commands commands;
    iq_reply *reply = NULL;
    iq_commands_init(&commands, reference->env);
    iq_commands_add(&commands, "RPUSH");
    iq_commands_text(&commands, reference->list);
    iq_commands_bytes(&commands, reference->item.data, reference->item.len);
    memcpy(id->text, uuid, sizeof uuid); /* from here on it may be there, whatever we hear */
    status = call(reference, &commands, false, "push to the reference's list", &reply, err);
    iq_reply_free(reply);
    iq_commands_release(&commands);
    if (status == IMGQ_E_BUSY || status == IMGQ_E_DENIED || status == IMGQ_E_UNSUPPORTED)
        memset(id, 0, sizeof *id); /* the server has said that it is not */
    return status;
}

imgq_status imgq_reference_length(imgq_reference *reference, uint64_t *length, imgq_error *err)
{
    iq_commands commands;
    iq_reply *reply = NULL;
    if (reference == NULL || length == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "length without a list or a place for it");
    iq_commands_init(&commands, reference->env);
    iq_commands_add(&commands, "LLEN");
    iq_commands_text(&commands, reference->list);
    const imgq_status status = call(reference, &commands, true, "look at the reference's list", &reply, err);
    if (status == IMGQ_OK)
        *length = reply->integer > 0 ? (uint64_t)reply->integer : 0;
    iq_reply_free(reply);
    iq_commands_release(&commands);
    return status;
}

/* [{"label": text, "probability": number}, ...] @return how many; SIZE_MAX: it is something else */
static size_t read_predictions(const iq_json *list, imgq_prediction *top, const char **labels)
{
    size_t count = 0;
    if (!iq_json_is_array(list) || iq_json_count(list) > TOP_MAX)
        return SIZE_MAX;
    for (const iq_json *item = iq_json_first(list); item != NULL; item = iq_json_next(item)) {
        const iq_json *probability = iq_json_get(item, "probability");
        labels[count] = iq_json_text(iq_json_get(item, "label"));
        if (labels[count] == NULL || !iq_json_is_number(probability))
            return SIZE_MAX;
        top[count++] = (imgq_prediction){IMGQ_CLASS_NONE, (float)iq_json_number(probability, 0)};
    }
    return count;
}

static imgq_status read_answer(imgq_env *env, const char *id, const iq_reply *text, imgq_result **out, imgq_error *err)
{
    imgq_prediction top[TOP_MAX];
    const char *labels[TOP_MAX];
    iq_json *json = NULL;
    size_t count = SIZE_MAX;
    imgq_status status = iq_json_parse(text->text, text->len, &json, err);
    if (status == IMGQ_E_NOMEM)
        return status;
    if (status == IMGQ_OK)
        count = read_predictions(json, top, labels);
    if (count == SIZE_MAX || count == 0) {
        status = iq_result_of_failure(env, id, IMGQ_E_CORRUPT,
                                      "the reference server's answer is no list of predictions", out, err);
    } else {
        imgq_answer answer = IMGQ_ANSWER_INIT;
        const iq_result_origin origin = {.attempt = 1};
        answer.top = top;
        answer.labels = labels;
        answer.top_count = count;
        status = iq_result_of_answer(env, id, &answer, &origin, out, err);
    }
    iq_json_free(json);
    return status;
}

static void add_keys(iq_commands *commands, const imgq_id *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        iq_commands_text(commands, ids[i].text);
}

static imgq_status delete_keys(imgq_reference *reference, const imgq_id *ids, size_t count, imgq_error *err)
{
    iq_commands commands;
    iq_reply *reply = NULL;
    if (count == 0)
        return IMGQ_OK;
    iq_commands_init(&commands, reference->env);
    iq_commands_add(&commands, "DEL");
    add_keys(&commands, ids, count);
    const imgq_status status = call(reference, &commands, true, "delete the reference's answers", &reply, err);
    iq_reply_free(reply);
    iq_commands_release(&commands);
    return status;
}

static imgq_status read_answers(imgq_reference *reference, const imgq_id *ids, size_t count, const iq_reply *reply,
                                imgq_result **results, imgq_error *err)
{
    imgq_status status = IMGQ_OK;
    for (size_t i = 0; i < count && status == IMGQ_OK; i++) {
        const iq_reply *text = iq_reply_at(reply, i);
        if (text->type == IQ_REPLY_TEXT)
            status = read_answer(reference->env, ids[i].text, text, &results[i], err);
    }
    return status;
}

imgq_status imgq_reference_poll(imgq_reference *reference, const imgq_id *ids, size_t count, imgq_result **results,
                                imgq_error *err)
{
    imgq_id answered[IDS_MAX];
    size_t found = 0;
    iq_commands commands;
    iq_reply *reply = NULL;
    if (reference == NULL || ids == NULL || results == NULL || count == 0 || count > IDS_MAX)
        return iq_fail(err, IMGQ_E_INVALID, 0, "poll for %zu answers, it must be 1 to %d", count, IDS_MAX);
    memset(results, 0, count * sizeof *results);
    iq_commands_init(&commands, reference->env);
    iq_commands_add(&commands, "MGET");
    add_keys(&commands, ids, count);
    imgq_status status = call(reference, &commands, true, "look for the reference's answers", &reply, err);
    if (status == IMGQ_OK)
        status = read_answers(reference, ids, count, reply, results, err);
    iq_reply_free(reply);
    iq_commands_release(&commands);
    for (size_t i = 0; i < count; i++) {
        if (status != IMGQ_OK) {
            imgq_result_destroy(results[i]);
            results[i] = NULL;
        } else if (results[i] != NULL) {
            answered[found++] = ids[i];
        }
    }
    /* The answers are here: that their keys could not be deleted is told by nobody's failure. */
    if (found > 0)
        (void)delete_keys(reference, answered, found, NULL);
    return status;
}

imgq_status imgq_reference_forget(imgq_reference *reference, const imgq_id *ids, size_t count, imgq_error *err)
{
    if (reference == NULL || (ids == NULL && count > 0) || count > IDS_MAX)
        return iq_fail(err, IMGQ_E_INVALID, 0, "forget %zu answers, at most %d", count, IDS_MAX);
    return delete_keys(reference, ids, count, err);
}
