/* A batch to probabilities. The network takes a group of images at once, so there is memory for the inputs of one group
 * only: they are filled in on the network's own threads, idle just then, and run, group by group. */
#include "worker/runner.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/fail.h"
#include "model/session.h"
#include "worker/decoder.h"

enum { INPUT_ALIGNMENT = 64 };

struct iq_runner {
    imgq_env *env;
    iq_batcher *batcher;
    imgq_session *session; /* NULL: without inference */
    size_t group, input_count, class_count;
    float *input; /* group x input_count; NULL without inference */
};

static imgq_status allocate(iq_runner *runner, imgq_error *err)
{
    const size_t floats = runner->group * runner->input_count; /* a group is small */
    runner->input = iq_alloc_aligned(runner->env, floats * sizeof *runner->input, INPUT_ALIGNMENT);
    return runner->input != NULL ? IMGQ_OK : iq_fail_nomem(err, floats * sizeof *runner->input);
}

imgq_status iq_runner_create(imgq_env *env, iq_batcher *batcher, size_t capacity, size_t input_count,
                             const imgq_model *model, imgq_session *session, iq_runner **out, imgq_error *err)
{
    iq_runner *runner = iq_alloc_array(env, 1, sizeof *runner);
    if (runner == NULL)
        return iq_fail_nomem(err, sizeof *runner);
    runner->env = iq_env_hold(env);
    runner->batcher = batcher;
    runner->session = session;
    runner->input_count = input_count;
    if (session != NULL) {
        runner->class_count = imgq_model_class_count(model);
        runner->group = iq_session_group(session) < capacity ? iq_session_group(session) : capacity;
        const imgq_status status = allocate(runner, err);
        if (status != IMGQ_OK) {
            iq_runner_destroy(runner);
            return status;
        }
    }
    *out = runner;
    return IMGQ_OK;
}

void iq_runner_destroy(iq_runner *runner)
{
    if (runner == NULL)
        return;
    imgq_env *env = runner->env;
    iq_free(env, runner->input);
    iq_free(env, runner);
    imgq_env_destroy(env);
}

/* Some slots of a batch, and where the first one's input goes. */
typedef struct filling {
    iq_slot **slots;
    float *input;
    size_t input_count;
} filling;

static void fill_part(void *user, size_t part, size_t thread)
{
    const filling *it = user;
    imgq_error why = {0};
    (void)thread;
    if (iq_decoder_fill(&it->slots[part]->prepared, it->input + part * it->input_count, &why) != IMGQ_OK)
        it->slots[part]->error = why; /* what runs in its place is nobody's answer */
}

static void run_group(iq_runner *runner, iq_batch *batch, size_t first, size_t count)
{
    filling it = {batch->slots + first, runner->input, runner->input_count};
    imgq_error why = {0};
    iq_session_spread(runner->session, count, fill_part, &it);
    for (size_t i = 0; i < count; i++)
        iq_batcher_forget_input(runner->batcher, it.slots[i]);
    const imgq_status status =
        imgq_session_run(runner->session, runner->input, count, batch->probs + first * runner->class_count,
                         count * runner->class_count, &why);
    for (size_t i = 0; i < count && status != IMGQ_OK; i++)
        it.slots[i]->error = why;
}

static void run_batch(iq_runner *runner, iq_batch *batch)
{
    const int64_t start_ns = iq_clock_ns();
    for (size_t first = 0; first < batch->used && runner->session != NULL; first += runner->group) {
        const size_t left = batch->used - first;
        run_group(runner, batch, first, left < runner->group ? left : runner->group);
    }
    batch->compute_ms = (double)(iq_clock_ns() - start_ns) / 1e6;
}

void *iq_runner_main(void *user)
{
    iq_runner *runner = user;
    for (iq_batch *batch; (batch = iq_batcher_next(runner->batcher)) != NULL;) {
        iq_batcher_drop_lost(runner->batcher, batch);
        run_batch(runner, batch);
        iq_batcher_ran(runner->batcher, batch);
    }
    return NULL;
}
