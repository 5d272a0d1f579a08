/* Forward passes over a shared model: the door where arguments are checked. */
#include "model/session.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/env.h"
#include "base/fail.h"
#include "base/log.h"
#include "base/options.h"
#include "base/pool.h"
#include "model/model.h"
#include "nn/cpu.h"
#include "nn/forward.h"
#include "nn/ops/softmax.h"

#include <string.h>

/* Debian's OpenBLAS has buffers for 256 calls at once; beyond them it prints, and at last it ends the process. */
enum { DEFAULT_BATCH = 32, MAX_BATCH = 4096, MAX_THREADS = 128 };

struct imgq_session {
    imgq_env *env;     /* held */
    imgq_model *model; /* held */
    iq_forward *forward;
    size_t threads, max_batch, classes, image_floats;
    float *image; /* for imgq_session_classify(): one prepared image and its probabilities */
    float *probs;
};

static bool is_known_precision(const char *precision)
{
    return precision == NULL || strcmp(precision, "highest") == 0 || strcmp(precision, "high") == 0 ||
           strcmp(precision, "medium") == 0;
}

static imgq_status check_options(imgq_session_options *options, imgq_error *err)
{
    if (!is_known_precision(options->precision))
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0,
                       "precision '%.40s' is not built in: choose from highest, high, medium", options->precision);
    if (options->max_batch > MAX_BATCH || options->threads > MAX_THREADS)
        return iq_fail(err, IMGQ_E_INVALID, 0, "a batch of %zu on %zu threads, the limits are %d and %d",
                       options->max_batch, options->threads, MAX_BATCH, MAX_THREADS);
    if (options->max_batch == 0)
        options->max_batch = DEFAULT_BATCH;
    if (options->threads == 0)
        options->threads = iq_granted_cores() < MAX_THREADS ? iq_granted_cores() : MAX_THREADS;
    return IMGQ_OK;
}

static imgq_status build(imgq_session *session, const imgq_session_options *options, imgq_error *err)
{
    const imgq_recipe *recipe = imgq_model_recipe(session->model);
    const iq_forward_options forward = {
        .height = recipe->crop_height,
        .width = recipe->crop_width,
        .max_images = options->max_batch,
        .threads = options->threads,
        .engine = options->engine,
        .precision = options->precision,
        .isa = options->isa,
        .packs = iq_model_packs(session->model),
    };
    session->threads = options->threads;
    session->max_batch = options->max_batch;
    session->classes = imgq_model_class_count(session->model);
    session->image_floats = (size_t)recipe->crop_height * recipe->crop_width * 3;
    imgq_status status =
        iq_forward_create(session->env, iq_model_net(session->model), &forward, &session->forward, err);
    iq_model_rest(session->model);
    if (status != IMGQ_OK)
        return status;
    session->image = iq_alloc_array(session->env, session->image_floats, sizeof *session->image);
    session->probs = iq_alloc_array(session->env, session->classes, sizeof *session->probs);
    if (session->image == NULL || session->probs == NULL)
        return iq_fail_nomem(err, (session->image_floats + session->classes) * sizeof(float));
    return IMGQ_OK;
}

imgq_status imgq_session_create(imgq_model *model, const imgq_session_options *options, imgq_session **out,
                                imgq_error *err)
{
    *out = NULL;
    imgq_session_options chosen;
    imgq_status status = iq_options_copy(&chosen, sizeof chosen, options, err);
    if (status == IMGQ_OK)
        status = check_options(&chosen, err);
    if (status != IMGQ_OK)
        return status;
    imgq_env *env = iq_model_env(model);
    imgq_session *session = iq_alloc_array(env, 1, sizeof *session);
    if (session == NULL)
        return iq_fail_nomem(err, sizeof *session);
    session->env = iq_env_hold(env);
    session->model = iq_model_hold(model);
    status = build(session, &chosen, err);
    if (status != IMGQ_OK) {
        imgq_session_destroy(session);
        return status;
    }
    iq_log(env, IMGQ_LOG_DEBUG, "model", "session on %zu threads, batches up to %zu, engine %s", chosen.threads,
           chosen.max_batch, imgq_session_engine(session));
    const char *why, *precision = iq_forward_precision(session->forward, &why);
    if (why != NULL)
        iq_log(env, IMGQ_LOG_INFO, "model", "precision %s runs as %s: %s", chosen.precision, precision, why);
    *out = session;
    return IMGQ_OK;
}

imgq_status imgq_session_logits(imgq_session *session, const float *nhwc, size_t batch, float *logits,
                                size_t logits_count, imgq_error *err)
{
    if (batch == 0 || batch > session->max_batch)
        return iq_fail(err, IMGQ_E_INVALID, 0, "a batch of %zu images, the session takes 1 to %zu", batch,
                       session->max_batch);
    if (logits_count < batch * session->classes)
        return iq_fail(err, IMGQ_E_INVALID, 0, "room for %zu values, %zu images of %zu classes need %zu", logits_count,
                       batch, session->classes, batch * session->classes);
    iq_forward_run(session->forward, nhwc, batch, logits);
    return IMGQ_OK;
}

imgq_status imgq_session_run(imgq_session *session, const float *nhwc, size_t batch, float *probs, size_t probs_count,
                             imgq_error *err)
{
    imgq_status status = imgq_session_logits(session, nhwc, batch, probs, probs_count, err);
    if (status != IMGQ_OK)
        return status;
    const uint64_t saved = iq_fp_enter();
    for (size_t i = 0; i < batch; i++)
        iq_softmax(probs + i * session->classes, session->classes);
    iq_fp_leave(saved);
    return IMGQ_OK;
}

size_t iq_session_group(const imgq_session *session)
{
    return iq_forward_group(session->forward);
}

void iq_session_spread(imgq_session *session, size_t count, iq_pool_fn fn, void *user)
{
    iq_forward_spread(session->forward, count, fn, user);
}

imgq_status imgq_session_classify(imgq_session *session, const void *bytes, size_t len, imgq_prediction *top,
                                  size_t top_count, imgq_error *err)
{
    if (top_count > session->classes)
        return iq_fail(err, IMGQ_E_INVALID, 0, "the best %zu of %zu classes", top_count, session->classes);
    imgq_status status = imgq_encoded_preprocess(session->env, bytes, len, NULL, imgq_model_recipe(session->model),
                                                 session->image, session->image_floats, NULL, err);
    if (status == IMGQ_OK)
        status = imgq_session_run(session, session->image, 1, session->probs, session->classes, err);
    if (status == IMGQ_OK)
        (void)imgq_topk(session->probs, session->classes, top, top_count);
    return status;
}

const char *imgq_session_engine(const imgq_session *session)
{
    return iq_forward_engine(session->forward);
}

const char *imgq_session_precision(const imgq_session *session)
{
    const char *why;
    return iq_forward_precision(session->forward, &why);
}

imgq_status imgq_session_get_info(const imgq_session *session, imgq_session_info *info, imgq_error *err)
{
    const imgq_session_info full = {
        .threads = session->threads,
        .arena_bytes = iq_forward_arena_bytes(session->forward),
        .packed_bytes = iq_forward_packed_bytes(session->forward),
        .isa = iq_forward_isa(session->forward),
    };
    return iq_options_give(info, &full, sizeof full, err);
}

size_t imgq_session_layer_count(const imgq_session *session)
{
    return iq_forward_layers(session->forward);
}

static const char *op_name(uint32_t op)
{
    static const char *const names[] = {
        [IQ_OP_CONV] = "conv",
        [IQ_OP_MAX_POOL] = "max-pool",
        [IQ_OP_GLOBAL_AVERAGE] = "average-pool",
        [IQ_OP_DENSE] = "dense",
    };
    return names[op];
}

imgq_status imgq_session_layer(const imgq_session *session, size_t index, size_t batch, imgq_layer_info *info,
                               imgq_error *err)
{
    if (index >= iq_forward_layers(session->forward) || batch == 0 || batch > session->max_batch)
        return iq_fail(err, IMGQ_E_INVALID, 0, "layer %zu of a batch of %zu: there are %zu, and batches of 1 to %zu",
                       index, batch, iq_forward_layers(session->forward), session->max_batch);
    const iq_forward_layer at = iq_forward_layer_at(session->forward, index, batch);
    const imgq_layer_info full = {
        .op = op_name(at.layer->op),
        .algorithm = at.algorithm,
        .kernel = at.layer->op == IQ_OP_DENSE ? 1 : at.layer->kernel,
        .stride = at.layer->op == IQ_OP_DENSE ? 1 : at.layer->stride,
        .in_channels = at.layer->in_channels,
        .out_channels = at.layer->out_channels,
        .out_height = (uint32_t)at.out_height,
        .out_width = (uint32_t)at.out_width,
        .macs = at.macs,
    };
    return iq_options_give(info, &full, sizeof full, err);
}

void imgq_session_profile(imgq_session *session, uint64_t *layer_ns)
{
    iq_forward_profile(session->forward, layer_ns);
}

void imgq_session_destroy(imgq_session *session)
{
    if (session == NULL)
        return;
    imgq_env *env = session->env;
    iq_free(env, session->probs);
    iq_free(env, session->image);
    iq_forward_destroy(session->forward);
    imgq_model_close(session->model);
    iq_free(env, session);
    imgq_env_destroy(env);
}
