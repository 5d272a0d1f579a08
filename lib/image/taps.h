/* Pillow's fixed-point taps of one pass, and the same packed for kernels that multiply 16-bit pairs. */
#ifndef IQ_IMAGE_TAPS_H
#define IQ_IMAGE_TAPS_H

#include <stddef.h>
#include <stdint.h>

#include <imgq/env.h>
#include <imgq/status.h>

/** Fractional bits of a weight: 22, so that bytes times weights still sum up in 32 bits. */
enum { IQ_TAP_BITS = 32 - 8 - 2 };
/** How a weight is split into parts that the multipliers take. Sums of each part, modulo 2^32, put together are exact.
 *  PAIRS: high * 2^15 + low in 16 bits each, 0 <= low < 2^15. BYTES: top * 2^16 + middle * 2^8 + low, all signed. */
typedef enum iq_tap_packing { IQ_TAP_PAIRS, IQ_TAP_BYTES } iq_tap_packing;
enum { IQ_TAP_LOW_BITS = 15 };

/** For each output column (or row) of a window: which inputs it sums, and their weights. Zeroed is empty. */
typedef struct iq_taps {
    uint32_t *first;  /* [count] */
    uint32_t *length; /* [count], at least 1 */
    int32_t *weights; /* [count][most] */
    uint32_t count, most;
} iq_taps;

enum { IQ_TAPS_OF_GROUP = 4, IQ_GROUP_BYTES = 16 };
/** The same, in groups of IQ_TAPS_OF_GROUP inputs, the last one filled up with weights of 0. Zeroed is empty. A group's
 *  16 bytes: PAIRS: four low parts, four high ones; BYTES: four low parts, four middle, four top ones, four of 0. */
typedef struct iq_tap_groups {
    uint32_t *first;  /* [count], may lie before the taps' own (weights of 0) */
    uint32_t *length; /* [count], in groups */
    uint8_t *weights; /* [count][most][IQ_GROUP_BYTES] */
    uint32_t count, most;
} iq_tap_groups;

/** Taps of outputs from..from + count of in_size resized to out_size. What Pillow copies (the same size, nearest) is
 * one tap of weight 1, what it leaves black one of 0: sums of those are exact.
 *  @param filter IMGQ_FILTER_... @param t owned, iq_taps_release(); empty unless IMGQ_OK
 *  @return IMGQ_OK; IMGQ_E_NOMEM */
imgq_status iq_taps_create(imgq_env *env, uint32_t in_size, uint32_t out_size, uint32_t from, uint32_t count,
                           uint32_t filter, iq_taps *t, imgq_error *err);
void iq_taps_release(imgq_env *env, iq_taps *t);
/** The same outputs, in the same order, of inputs that come in the opposite order. */
void iq_taps_mirror(iq_taps *t, uint32_t in_size);

/** Packs so that the inputs of every group lie within in_size; each output gets `least` groups or more.
 *  @param groups owned, iq_tap_groups_release(); empty where in_size is too small for that, or unless IMGQ_OK
 *  @return IMGQ_OK; IMGQ_E_NOMEM */
imgq_status iq_tap_groups_create(imgq_env *env, const iq_taps *t, uint32_t in_size, uint32_t least,
                                 iq_tap_packing packing, iq_tap_groups *groups, imgq_error *err);
void iq_tap_groups_release(imgq_env *env, iq_tap_groups *groups);

#endif
