/* What a server says: the same replies however its bytes are cut, within limits, and each of them can be looked
 * through. */
#include "redis/resp.h"
#include "redis/server.h"

#include <imgq/env.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { MAX_REPLY = 20000 };

static imgq_env *env;

static void mix(uint64_t *hash, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        *hash = (*hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
}

static void look_through(const iq_reply *reply, unsigned depth, uint64_t *hash)
{
    int64_t number = 0;
    imgq_error err;
    if (depth > 8 || reply->text[reply->len] != '\0' || (reply->type != IQ_REPLY_ARRAY && reply->count > 0))
        abort();
    mix(hash, &reply->type, sizeof reply->type);
    mix(hash, &reply->integer, sizeof reply->integer);
    mix(hash, reply->text, reply->len);
    mix(hash, &reply->count, sizeof reply->count);
    if (iq_reply_int(reply, &number) && reply->type == IQ_REPLY_INTEGER && number != reply->integer)
        abort();
    if ((iq_reply_check(reply, "fuzz", &err) == IMGQ_OK) != (reply->type != IQ_REPLY_ERROR))
        abort();
    if (reply->type == IQ_REPLY_TEXT) {
        iq_server_info info = {0};
        iq_server_parse_info(reply->text, reply->len, &info);
        (void)iq_server_require(&info, "fuzz", false, &err);
    }
    for (size_t i = 0; i < reply->count; i++)
        look_through(iq_reply_at(reply, i), depth + 1, hash);
}

/* @return a digest of all replies up to the first failure; *count of them */
static uint64_t read_all(const uint8_t *bytes, size_t len, size_t step, size_t *count)
{
    iq_resp_reader *reader;
    imgq_error err;
    uint64_t hash = 0xcbf29ce484222325u;
    *count = 0;
    imgq_status status = iq_resp_reader_create(env, MAX_REPLY, &reader, &err);
    for (size_t at = 0; status == IMGQ_OK && at < len; at += step) {
        status = iq_resp_reader_feed(reader, bytes + at, step < len - at ? step : len - at, &err);
        for (iq_reply *reply = NULL; status == IMGQ_OK;) {
            status = iq_resp_reader_next(reader, &reply, &err);
            if (status != IMGQ_OK || reply == NULL)
                break;
            look_through(reply, 0, &hash);
            iq_reply_free(reply);
            ++*count;
        }
    }
    iq_resp_reader_destroy(reader);
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (env == NULL && imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        abort();
    if (len < 1)
        return 0;
    const size_t step = (size_t)bytes[0] % 64 + 1;
    size_t one_count, whole_count;
    const uint64_t cut = read_all(bytes + 1, len - 1, step, &one_count);
    const uint64_t whole = read_all(bytes + 1, len - 1, 32768, &whole_count);
    if (one_count != whole_count || cut != whole)
        abort();
    return 0;
}
