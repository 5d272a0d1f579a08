/* The only caller of cJSON: its parser records where it failed in a global, so one lock stands round each parse. */
#include "base/json.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/utf8.h"

#include <cjson/cJSON.h>

#include <math.h>
#include <pthread.h>
#include <string.h>

enum { MAX_TEXT = 64 << 20, MAX_DEPTH = 64 };

static pthread_mutex_t parse_lock = PTHREAD_MUTEX_INITIALIZER; /* guards cJSON's global error pointer */

static const cJSON *node(const iq_json *value)
{
    return (const cJSON *)value;
}

/* cJSON's own depth limit is 1000 of its stack frames; ours is told before it starts. Counts brackets outside strings.
 */
static bool is_too_deep(const char *text, size_t len)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > MAX_DEPTH)
                return true;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

size_t iq_utf8_length(const unsigned char *text, size_t len)
{
    unsigned char c = text[0];
    size_t need = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
    if (need == 0 || need > len)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    if ((c == 0xE0 && text[1] < 0xA0) || (c == 0xED && text[1] > 0x9F) || (c == 0xF0 && text[1] < 0x90) ||
        (c == 0xF4 && text[1] > 0x8F))
        return 0;
    return need;
}

static bool is_utf8(const char *text, size_t len)
{
    for (size_t at = 0, step; at < len; at += step) {
        step = iq_utf8_length((const unsigned char *)text + at, len - at);
        if (step == 0)
            return false;
    }
    return true;
}

imgq_status iq_json_parse(const char *text, size_t len, iq_json **out, imgq_error *err)
{
    *out = NULL;
    if (len > MAX_TEXT)
        return iq_fail(err, IMGQ_E_FORMAT, 0, "JSON of %zu bytes, the limit is %d", len, MAX_TEXT);
    if (is_too_deep(text, len))
        return iq_fail(err, IMGQ_E_FORMAT, 0, "JSON nested more than %d deep", MAX_DEPTH);
    if (!is_utf8(text, len))
        return iq_fail(err, IMGQ_E_FORMAT, 0, "JSON that is not UTF-8");
    const char *end = NULL;
    pthread_mutex_lock(&parse_lock);
    cJSON *root = cJSON_ParseWithLengthOpts(text, len, &end, 0);
    pthread_mutex_unlock(&parse_lock);
    size_t at = end != NULL ? (size_t)(end - text) : 0;
    if (root == NULL)
        return iq_fail(err, IMGQ_E_FORMAT, 0, "no JSON at byte %zu", at);
    while (at < len && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t'))
        at++;
    if (at != len) {
        cJSON_Delete(root);
        return iq_fail(err, IMGQ_E_FORMAT, 0, "no JSON at byte %zu: something follows the value", at);
    }
    *out = (iq_json *)root;
    return IMGQ_OK;
}

void iq_json_free(iq_json *root)
{
    cJSON_Delete((cJSON *)root);
}

const iq_json *iq_json_get(const iq_json *object, const char *key)
{
    return (const iq_json *)cJSON_GetObjectItemCaseSensitive(node(object), key);
}

const iq_json *iq_json_first(const iq_json *object_or_array)
{
    const cJSON *value = node(object_or_array);
    return value != NULL && (cJSON_IsObject(value) || cJSON_IsArray(value)) ? (const iq_json *)value->child : NULL;
}

const iq_json *iq_json_next(const iq_json *member)
{
    return member != NULL ? (const iq_json *)node(member)->next : NULL;
}

const char *iq_json_key(const iq_json *member)
{
    return member != NULL ? node(member)->string : NULL;
}

size_t iq_json_count(const iq_json *object_or_array)
{
    size_t count = 0;
    for (const iq_json *member = iq_json_first(object_or_array); member != NULL; member = iq_json_next(member))
        count++;
    return count;
}

const iq_json *iq_json_at(const iq_json *array, size_t index)
{
    const iq_json *member = iq_json_is_array(array) ? iq_json_first(array) : NULL;
    while (member != NULL && index-- > 0)
        member = iq_json_next(member);
    return member;
}

bool iq_json_is_object(const iq_json *value)
{
    return cJSON_IsObject(node(value));
}

bool iq_json_is_array(const iq_json *value)
{
    return cJSON_IsArray(node(value));
}

bool iq_json_is_number(const iq_json *value)
{
    return cJSON_IsNumber(node(value));
}

bool iq_json_is_null(const iq_json *value)
{
    return cJSON_IsNull(node(value));
}

const char *iq_json_text(const iq_json *value)
{
    return cJSON_IsString(node(value)) ? node(value)->valuestring : NULL;
}

double iq_json_number(const iq_json *value, double otherwise)
{
    return cJSON_IsNumber(node(value)) ? node(value)->valuedouble : otherwise;
}

bool iq_json_uint(const iq_json *value, uint64_t *out)
{
    double number = iq_json_number(value, -1);
    if (!(number >= 0 && number <= 9007199254740992.0) || floor(number) != number)
        return false;
    *out = (uint64_t)number;
    return true;
}

bool iq_json_bool(const iq_json *value, bool otherwise)
{
    return cJSON_IsBool(node(value)) ? cJSON_IsTrue(node(value)) : otherwise;
}
