/* One block, cut into slots and scratch at cache line borders. */
#include "nn/workspace.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/fail.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20, ALIGNMENT = 64, ALIGNMENT_FLOATS = ALIGNMENT / sizeof(float) };

/* count x size floats more, rounded up to whole cache lines; true if that does not fit. */
static bool grow(size_t *floats, size_t count, size_t size)
{
    size_t more;
    return iq_mul_size(&more, count, size) || iq_add_size(&more, more, ALIGNMENT_FLOATS - 1) ||
           iq_add_size(floats, *floats, more / ALIGNMENT_FLOATS * ALIGNMENT_FLOATS);
}

void *iq_alloc_huge(imgq_env *env, size_t size)
{
    if (size < HUGE_PAGE)
        return iq_alloc_aligned(env, size, ALIGNMENT);
    void *block = iq_alloc_aligned(env, size, HUGE_PAGE);
    /* Advice alone: whatever the host's allocator brought, a refusal changes nothing but the speed. */
    if (block != NULL)
        (void)madvise(block, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    return block;
}

imgq_status iq_workspace_create(imgq_env *env, const iq_plan *plan, size_t images, size_t threads,
                                size_t scratch_floats, iq_workspace *out, imgq_error *err)
{
    memset(out, 0, sizeof *out);
    size_t at[IQ_PLAN_SLOTS_MAX] = {0}, total = 0, single = 0, step = 0, bytes = 0;
    bool overflow = grow(&step, 1, scratch_floats);
    for (uint32_t s = 0; s < plan->slots; s++) {
        size_t *end = plan->slot_is_single[s] ? &single : &total;
        at[s] = *end;
        overflow = overflow || grow(end, plan->slot_is_single[s] ? 1 : images, plan->slot_floats[s]);
    }
    const size_t single_at = total;
    overflow = overflow || grow(&total, threads, single);
    const size_t scratch_at = total;
    if (overflow || grow(&total, threads, step) || iq_mul_size(&bytes, total, sizeof(float)))
        return iq_fail(err, IMGQ_E_LIMIT, 0,
                       "a forward pass of %zu images on %zu threads needs more than memory can be", images, threads);
    out->block = iq_alloc_huge(env, bytes);
    if (out->block == NULL)
        return iq_fail_nomem(err, bytes);
    for (uint32_t s = 0; s < plan->slots; s++)
        out->slots[s] = out->block + at[s] + (plan->slot_is_single[s] ? single_at : 0);
    out->single_step = single;
    out->scratch = out->block + scratch_at;
    out->scratch_step = step;
    out->bytes = bytes;
    return IMGQ_OK;
}

void iq_workspace_release(imgq_env *env, iq_workspace *workspace)
{
    iq_free(env, workspace->block);
    memset(workspace, 0, sizeof *workspace);
}
