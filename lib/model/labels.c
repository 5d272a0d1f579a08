/* Labels from a text or JSON file; a class without one, or with two, is an error that names it. */
#include "model/labels.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "model/told.h"

#include <string.h>

enum { FILE_MAX = 16 << 20, LABELS_MAX = 1 << 20 };

static imgq_status check_label(const char *text, size_t len, const char *from, const char *unit, size_t number,
                               imgq_error *err)
{
    const char *why = NULL;
    if (len == 0)
        why = "is empty";
    else if (len > IQ_LABEL_MAX)
        why = "is too long";
    for (size_t i = 0; i < len && why == NULL; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7F)
            why = "has control characters";
    if (why == NULL)
        return IMGQ_OK;
    return iq_fail(err, IMGQ_E_CORRUPT, 0, "read labels from %s: %s %zu %s", iq_shown_path(from), unit, number, why);
}

static imgq_status make_room(iq_arena *arena, size_t count, iq_labels *out, imgq_error *err)
{
    out->count = count;
    out->texts = iq_arena_alloc(arena, count * sizeof *out->texts);
    if (out->texts == NULL)
        return iq_fail_nomem(err, count * sizeof *out->texts);
    memset(out->texts, 0, count * sizeof *out->texts);
    return IMGQ_OK;
}

static imgq_status put_label(iq_arena *arena, iq_labels *labels, size_t index, const char *text, size_t len,
                             imgq_error *err)
{
    labels->texts[index] = iq_arena_strndup(arena, text, len);
    return labels->texts[index] == NULL ? iq_fail_nomem(err, len + 1) : IMGQ_OK;
}

static size_t count_lines(const char *text, size_t len)
{
    size_t lines = len > 0 && text[len - 1] != '\n';
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    return lines;
}

static imgq_status read_lines(const char *text, size_t len, const char *from, iq_arena *arena, iq_labels *out,
                              imgq_error *err)
{
    /* Editors leave a last empty line, Windows an invisible mark and \r. */
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        len -= 3;
    }
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    const size_t lines = count_lines(text, len);
    if (lines == 0 || lines > LABELS_MAX)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "read labels from %s: %zu lines", iq_shown_path(from), lines);
    imgq_status status = make_room(arena, lines, out, err);
    for (size_t i = 0; i < lines && status == IMGQ_OK; i++) {
        const char *end = memchr(text, '\n', len);
        size_t line_len = end == NULL ? len : (size_t)(end - text);
        const size_t step = end == NULL ? len : line_len + 1;
        if (line_len > 0 && text[line_len - 1] == '\r')
            line_len--;
        status = check_label(text, line_len, from, "line", i + 1, err);
        if (status == IMGQ_OK)
            status = put_label(arena, out, i, text, line_len, err);
        text += step;
        len -= step;
    }
    return status;
}

/* "tench" or ["n01440764", "tench"]; NULL for anything else. */
static const char *text_of(const iq_json *value)
{
    if (iq_json_is_array(value))
        return iq_json_count(value) == 2 ? iq_json_text(iq_json_at(value, 1)) : NULL;
    return iq_json_text(value);
}

static imgq_status put_json(const iq_json *value, const char *from, size_t index, iq_arena *arena, iq_labels *out,
                            imgq_error *err)
{
    const char *text = text_of(value);
    if (text == NULL)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "read labels from %s: class %zu has no text", iq_shown_path(from),
                       index);
    imgq_status status = check_label(text, strlen(text), from, "class", index, err);
    return status == IMGQ_OK ? put_label(arena, out, index, text, strlen(text), err) : status;
}

static imgq_status from_object(const iq_json *object, const char *from, iq_arena *arena, iq_labels *out,
                               imgq_error *err)
{
    imgq_status status = IMGQ_OK;
    for (const iq_json *item = iq_json_first(object); item != NULL && status == IMGQ_OK; item = iq_json_next(item)) {
        uint64_t index;
        const char *key = iq_json_key(item);
        if (!iq_parse_uint(key, out->count - 1, &index))
            return iq_fail(err, IMGQ_E_CORRUPT, 0, "read labels from %s: '%.40s' is no class of 0 to %zu",
                           iq_shown_path(from), iq_is_printable(key) ? key : "?", out->count - 1);
        if (out->texts[index] != NULL)
            return iq_fail(err, IMGQ_E_CORRUPT, 0, "read labels from %s: class %zu is there twice", iq_shown_path(from),
                           (size_t)index);
        status = put_json(item, from, (size_t)index, arena, out, err);
    }
    return status;
}

imgq_status iq_labels_from_json(const iq_json *value, const char *from, iq_arena *arena, iq_labels *out,
                                imgq_error *err)
{
    if (iq_json_is_object(iq_json_get(value, "id2label")))
        value = iq_json_get(value, "id2label");
    const size_t count = iq_json_count(value);
    if ((!iq_json_is_array(value) && !iq_json_is_object(value)) || count == 0 || count > LABELS_MAX)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "read labels from %s: neither a list nor an object of classes",
                       iq_shown_path(from));
    imgq_status status = make_room(arena, count, out, err);
    if (status != IMGQ_OK || iq_json_is_object(value))
        return status != IMGQ_OK ? status : from_object(value, from, arena, out, err);
    size_t index = 0;
    for (const iq_json *item = iq_json_first(value); item != NULL && status == IMGQ_OK; item = iq_json_next(item))
        status = put_json(item, from, index++, arena, out, err);
    return status;
}

static bool is_json(const char *text, size_t len)
{
    size_t i = 0;
    while (i < len && (text[i] == ' ' || text[i] == '\n' || text[i] == '\r' || text[i] == '\t'))
        i++;
    return i < len && (text[i] == '{' || text[i] == '[');
}

imgq_status iq_labels_read(const char *path, iq_arena *arena, iq_labels *out, imgq_error *err)
{
    iq_buf file = {0};
    iq_json *root = NULL;
    imgq_status status = iq_buf_read_file(arena->env, &file, path, FILE_MAX, err);
    if (status != IMGQ_OK)
        goto out;
    const char *text = (const char *)file.data;
    if (!is_json(text, file.len)) {
        status = read_lines(text, file.len, path, arena, out, err);
        goto out;
    }
    status = iq_json_parse(text, file.len, &root, err);
    if (status == IMGQ_E_FORMAT)
        status = iq_fail_prefix(err, IMGQ_E_CORRUPT, "read labels from %s", iq_shown_path(path));
    if (status == IMGQ_OK)
        status = iq_labels_from_json(root, path, arena, out, err);
out:
    iq_json_free(root);
    iq_buf_release(arena->env, &file);
    return status;
}
