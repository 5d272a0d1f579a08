/* A ResNet-50 nobody trained: random convolutions, and batch norms that know the mean and variance of what they see. */
#ifndef CLI_MODEL_BACKBONE_H
#define CLI_MODEL_BACKBONE_H

#include <stddef.h>
#include <stdint.h>

#include <imgq/status.h>

enum { BACKBONE_FEATURES = 2048, BACKBONE_CONVS = 53, BACKBONE_TENSORS = 5 * BACKBONE_CONVS };

/** A tensor of the network under Keras's name. */
typedef struct demo_tensor {
    char name[48];
    size_t shape[4], rank, count;
    float *data; /* owned, free() */
} demo_tensor;

typedef struct demo_backbone {
    demo_tensor tensors[BACKBONE_TENSORS]; /* conv by conv: kernel, gamma, beta, moving_mean, moving_variance */
} demo_backbone;

/**
 * Convolutions are He-normal; the last batch norm of each block is scaled by 0.2, so that sixteen blocks add up to
 * something that still tells pictures apart; mean and variance are those of the pictures given.
 * @param inputs   count pictures of 224 x 224 x 3 floats, as the network reads them
 * @param threads  that share the work
 * @param progress called with 1..BACKBONE_CONVS; NULL: not
 * @return IMGQ_OK; IMGQ_E_NOMEM; IMGQ_E_CANCELLED (a signal came)
 */
IMGQ_CHECKED imgq_status backbone_make(demo_backbone *backbone, uint64_t seed, const float *inputs, size_t count,
                                       size_t threads, void (*progress)(void *user, size_t done), void *user,
                                       imgq_error *err);
void backbone_release(demo_backbone *backbone);

#endif
