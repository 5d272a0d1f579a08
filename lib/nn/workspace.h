/* All memory of a forward pass, taken once. */
#ifndef IQ_NN_WORKSPACE_H
#define IQ_NN_WORKSPACE_H

#include <imgq/env.h>

#include "nn/plan.h"

typedef struct iq_workspace {
    float *slots[IQ_PLAN_SLOTS_MAX]; /* of plan->slot_floats x images each, single ones x 1; 64-byte aligned */
    size_t single_step;              /* floats from one thread's single slots to the next one's */
    float *scratch;                  /* scratch_step floats for each thread */
    size_t scratch_step;
    float *block;
    size_t bytes; /* of block */
} iq_workspace;

/** @param images  that one pass computes at most
 *  @param scratch_floats  that each of the threads needs
 *  @return IMGQ_OK; IMGQ_E_LIMIT (more than can be addressed); IMGQ_E_NOMEM */
IMGQ_CHECKED imgq_status iq_workspace_create(imgq_env *env, const iq_plan *plan, size_t images, size_t threads,
                                             size_t scratch_floats, iq_workspace *out, imgq_error *err);
/** Zeroed workspaces are fine. */
void iq_workspace_release(imgq_env *env, iq_workspace *workspace);

/** As iq_alloc_aligned(), for much memory that is read again and again: the kernel is asked for huge pages. */
void *iq_alloc_huge(imgq_env *env, size_t size) __attribute__((malloc));

#endif
