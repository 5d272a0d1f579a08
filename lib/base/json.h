/* JSON read by cJSON (behind a lock: its parser writes a global) and written by a few appends of our own, which do not
 * know locales. */
#ifndef IQ_BASE_JSON_H
#define IQ_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <imgq/env.h>

#include "base/buf.h"
#include "base/shared.h"

/** A value of a parsed text. */
typedef struct iq_json iq_json;

/** The whole text must be one value, UTF-8, nested at most 64 deep, at most 64 MiB.
 *  @param out owned, iq_json_free() @return IMGQ_OK; IMGQ_E_FORMAT (says where); IMGQ_E_NOMEM */
IQ_SHARED imgq_status iq_json_parse(const char *text, size_t len, iq_json **out, imgq_error *err);
IQ_SHARED void iq_json_free(iq_json *root);

/* Everything below is borrowed from the root. A wrong type answers NULL, false or the given default. */
IQ_SHARED const iq_json *iq_json_get(const iq_json *object, const char *key);
IQ_SHARED const iq_json *iq_json_first(const iq_json *object_or_array); /* then iq_json_next(): O(1) each */
IQ_SHARED const iq_json *iq_json_next(const iq_json *member);
IQ_SHARED const char *iq_json_key(const iq_json *member);
IQ_SHARED size_t iq_json_count(const iq_json *object_or_array);
IQ_SHARED const iq_json *iq_json_at(const iq_json *array, size_t index); /* O(index) */
IQ_SHARED bool iq_json_is_object(const iq_json *value);
IQ_SHARED bool iq_json_is_array(const iq_json *value);
IQ_SHARED bool iq_json_is_number(const iq_json *value);
IQ_SHARED bool iq_json_is_null(const iq_json *value);
IQ_SHARED const char *iq_json_text(const iq_json *value);                    /* NULL unless a string */
IQ_SHARED double iq_json_number(const iq_json *value, double otherwise);
/** Whole, 0..2^53. @return false unless it is such a number */
IQ_SHARED bool iq_json_uint(const iq_json *value, uint64_t *out);
IQ_SHARED bool iq_json_bool(const iq_json *value, bool otherwise);

/* Writing: the caller writes the commas and brackets as text. */
/** "..." with escapes; bytes that are no UTF-8 become U+FFFD. text NULL: null. */
IQ_SHARED bool iq_json_write_text(imgq_env *env, iq_buf *buf, const char *text);
IQ_SHARED bool iq_json_write_text_len(imgq_env *env, iq_buf *buf, const char *text, size_t len);
/** The shortest digits that read back as the same float or double; NaN and infinities: null. */
IQ_SHARED bool iq_json_write_float(imgq_env *env, iq_buf *buf, float value);
IQ_SHARED bool iq_json_write_double(imgq_env *env, iq_buf *buf, double value);
/** value with a fixed number of decimals, "0.413623", whatever the locale. */
IQ_SHARED bool iq_json_write_fixed(imgq_env *env, iq_buf *buf, double value, int decimals);

/** Locale-independent, whole text. @return false unless text is a number that fits */
IQ_SHARED bool iq_parse_double(const char *text, double *out);
IQ_SHARED bool iq_parse_uint(const char *text, uint64_t max, uint64_t *out);

#endif
