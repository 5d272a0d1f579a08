/* Options structs that may be older or newer than the library. */
#ifndef IQ_BASE_OPTIONS_H
#define IQ_BASE_OPTIONS_H

#include <stddef.h>

#include <imgq/status.h>

#include "base/shared.h"

/**
 * Copy what the caller gave over zeroed defaults. Every options struct begins with `size_t size`.
 * @param dst       this library's struct, dst_size bytes; dst's own size field is set
 * @param src       the caller's, NULL: all defaults
 * @return IMGQ_OK; IMGQ_E_INVALID (size not set); IMGQ_E_UNSUPPORTED (a field newer than this library is set)
 */
IQ_SHARED imgq_status iq_options_copy(void *dst, size_t dst_size, const void *src, imgq_error *err);
/** The way back: fill the caller's info struct, as much of it as its size field says. */
IQ_SHARED imgq_status iq_options_give(void *dst, const void *src, size_t src_size, imgq_error *err);

#endif
