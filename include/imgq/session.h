/* One forward pass at a time over a shared model. */
#ifndef IMGQ_SESSION_H
#define IMGQ_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include <imgq/model.h>
#include <imgq/prediction.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Activations and threads of one forward pass. One call at a time; several sessions run side by side. */
typedef struct imgq_session imgq_session;

typedef struct imgq_session_options {
    size_t size;
    size_t threads;        /* 0: what affinity and the cgroup's CPU quota grant; at most 128 */
    size_t max_batch;      /* images of one run; 0: 32; at most 4096 */
    const char *engine;    /* "auto" (NULL), "scalar", "openblas" */
    const char *precision; /* "highest" (NULL) */
} imgq_session_options;

#ifdef __cplusplus
#define IMGQ_SESSION_OPTIONS_INIT \
    ([] { imgq_session_options o = imgq_session_options(); o.size = sizeof o; return o; }())
#else
#define IMGQ_SESSION_OPTIONS_INIT ((imgq_session_options){.size = sizeof(imgq_session_options)})
#endif

/**
 * All memory that a run needs is taken here. OpenBLAS's thread count is process-wide: creating a session sets it to 1.
 * @return IMGQ_OK; IMGQ_E_NOMEM; IMGQ_E_INVALID (threads or max_batch); IMGQ_E_UNSUPPORTED (engine or precision: names
 *         the choices)
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_session_create(imgq_model *model,
                                                      const imgq_session_options *options,
                                                      imgq_session **out, imgq_error *err);
/**
 * @param nhwc         batch x height x width x 3 floats, normalised by the model's recipe; borrowed
 * @param batch        1..max_batch
 * @param probs        out, batch x class count
 * @param probs_count  floats at probs
 * @return IMGQ_OK; IMGQ_E_INVALID. Allocates nothing. The same image gives the same probabilities within 1e-5
 *         whatever its neighbours, the batch size and the thread count.
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_session_run(imgq_session *session, const float *nhwc,
                                                   size_t batch, float *probs, size_t probs_count,
                                                   imgq_error *err);
/** As imgq_session_run(), before the softmax. */
IMGQ_API IMGQ_CHECKED imgq_status imgq_session_logits(imgq_session *session, const float *nhwc,
                                                      size_t batch, float *logits,
                                                      size_t logits_count, imgq_error *err);
/** Decode, preprocess, run, top-k of one image file. @param top out, top_count of them */
IMGQ_API IMGQ_CHECKED imgq_status imgq_session_classify(imgq_session *session, const void *bytes,
                                                        size_t len, imgq_prediction *top,
                                                        size_t top_count, imgq_error *err);
/** The engine in use: "scalar", "openblas"; borrowed, static. */
IMGQ_API const char *imgq_session_engine(const imgq_session *session);
IMGQ_API const char *imgq_session_precision(const imgq_session *session);
/** The best top_count of count probabilities, best first, equal ones by class number. @return how many were written */
IMGQ_API size_t imgq_topk(const float *probs, size_t count, imgq_prediction *top, size_t top_count);
IMGQ_API void imgq_session_destroy(imgq_session *session);

#ifdef __cplusplus
}
#endif

#endif
