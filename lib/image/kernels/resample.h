/* The two passes of a resize, one file for each and instruction set; all give the same bytes. */
#ifndef IQ_IMAGE_KERNELS_RESAMPLE_H
#define IQ_IMAGE_KERNELS_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "image/taps.h"

/** Rows that a column kernel takes at most in one call. */
enum { IQ_ROWS_AT_ONCE = 4 };
/** Groups of each output that a packed column kernel wants: the last one is loaded together with the end of the one
 *  before, so that 16-byte loads stay within the row. */
enum { IQ_LEAST_GROUPS = 2 };

/** Sums columns: RGB rows in[0..count) of the taps' in_size to rows out[0..count) of t->count pixels; no output may
 *  overlap an input. @param count 1 to IQ_ROWS_AT_ONCE */
typedef void iq_columns_fn(uint8_t *const *out, const uint8_t *const *in, uint32_t count, const iq_taps *t,
                           const iq_tap_groups *groups);
/** Sums rows: `bytes` of rows in[0..length) with these weights to out, which may not overlap them.
 *  @param length at least 1 */
typedef void iq_rows_fn(uint8_t *out, const uint8_t *const *in, const int32_t *weights, uint32_t length, size_t bytes);

typedef struct iq_resample_kernels {
    const char *isa;
    iq_columns_fn *columns; /* wants groups; NULL: there is none */
    iq_tap_packing packing; /* of the groups */
    iq_rows_fn *rows;
} iq_resample_kernels;

/** From the plainest on; @return the i-th that this processor and operating system run; NULL: there are no more */
const iq_resample_kernels *iq_resample_kernels_at(size_t i);
/** The fastest of them. */
const iq_resample_kernels *iq_resample_kernels_best(void);

iq_columns_fn iq_columns_plain; /* groups are not looked at */
iq_rows_fn iq_rows_plain;
iq_columns_fn iq_columns_avx2;
iq_rows_fn iq_rows_avx2;
iq_columns_fn iq_columns_avx512; /* with VNNI */

#endif
