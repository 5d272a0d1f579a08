/* Numbers of a tensor as floats, from any place of it. */
#ifndef IQ_MODEL_WIDEN_H
#define IQ_MODEL_WIDEN_H

#include "model/weights.h"

/** Numbers of a tensor of F32, F16 or BF16. */
size_t iq_view_count(const iq_tensor_view *view);
/** @param out numbers first .. first + count - 1; exact */
void iq_view_widen(const iq_tensor_view *view, size_t first, size_t count, float *out);
/** The largest magnitude of those numbers; infinity where one is a NaN or an infinity. */
float iq_view_largest(const iq_tensor_view *view, size_t first, size_t count);

#endif
