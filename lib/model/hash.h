/* One number for the weights of a file. */
#ifndef IQ_MODEL_HASH_H
#define IQ_MODEL_HASH_H

#include "model/weights.h"

/** SHA-256 over all tensors but IQ_DTYPE_OTHER in the order of their names (docs/model-format.md), as 64 hex digits and
 * a zero. The one pass over all bytes of a file, so it looks at the numbers too.
 *  @param largest out, set->count: iq_view_largest() of each tensor, 0 for IQ_DTYPE_OTHER; NULL: not wanted
 *  @return IMGQ_OK; IMGQ_E_NOMEM */
IMGQ_CHECKED imgq_status iq_weights_hash(const iq_weights *set, char hex[65], float *largest, imgq_error *err);

#endif
