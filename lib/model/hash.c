/* Names, types, shapes and bytes as read: a rewriting of the same tensors in another order or with other metadata keeps
 * the hash, any change of a weight changes it. */
#include "model/hash.h"

#include "base/alloc.h"
#include "base/crypto.h"
#include "base/fail.h"
#include "model/widen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 32 * 1024 }; /* bytes that stay in the first cache from the hash to the look at their numbers */

static int by_name(const void *a, const void *b)
{
    const iq_tensor_view *x = *(const iq_tensor_view *const *)a, *y = *(const iq_tensor_view *const *)b;
    return strcmp(x->name, y->name);
}

static void add_u64(iq_sha256 *hash, uint64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    iq_sha256_add(hash, bytes, sizeof bytes);
}

/* @return the largest magnitude */
static float add_data(iq_sha256 *hash, const iq_tensor_view *view)
{
    const size_t size = view->dtype == IQ_DTYPE_F32 ? 4 : 2;
    float largest = 0;
    for (size_t at = 0; at < view->bytes; at += PIECE) {
        const size_t bytes = view->bytes - at < PIECE ? view->bytes - at : PIECE;
        iq_sha256_add(hash, view->data + at, bytes);
        largest = fmaxf(largest, iq_view_largest(view, at / size, bytes / size));
    }
    return largest;
}

static float add_tensor(iq_sha256 *hash, const iq_tensor_view *view)
{
    iq_sha256_add(hash, view->name, strlen(view->name) + 1);
    add_u64(hash, view->dtype);
    add_u64(hash, view->rank);
    for (uint32_t d = 0; d < view->rank; d++)
        add_u64(hash, view->shape[d]);
    add_u64(hash, view->bytes);
    return add_data(hash, view);
}

imgq_status iq_weights_hash(const iq_weights *set, char hex[65], float *largest, imgq_error *err)
{
    uint8_t digest[32];
    const iq_tensor_view **sorted = iq_alloc_array(set->env, set->count, sizeof *sorted);
    iq_sha256 *hash = iq_sha256_begin();
    if (sorted == NULL || hash == NULL) {
        if (hash != NULL)
            iq_sha256_end(hash, digest);
        iq_free(set->env, sorted);
        return iq_fail_nomem(err, set->count * sizeof *sorted);
    }
    for (size_t i = 0; i < set->count; i++)
        sorted[i] = &set->tensors[i];
    qsort(sorted, set->count, sizeof *sorted, by_name);
    for (size_t i = 0; i < set->count; i++) {
        /* The others are no weights: a rewriting may leave them out. */
        const float found = sorted[i]->dtype != IQ_DTYPE_OTHER ? add_tensor(hash, sorted[i]) : 0;
        if (largest != NULL)
            largest[sorted[i] - set->tensors] = found;
    }
    iq_sha256_end(hash, digest);
    iq_hex(hex, digest, sizeof digest);
    iq_free(set->env, sorted);
    return IMGQ_OK;
}
