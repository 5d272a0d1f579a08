/* The wire of the reference classifier (Flask, Keras, Redis): its web server's half, for servers that speak only that.
 * Items are {"id": uuid, "image": base64 of float32 1 x height x width x 3}; answers are keys named by the uuid. */
#ifndef IMGQ_REFERENCE_H
#define IMGQ_REFERENCE_H

#include <imgq/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One thread at a time. */
typedef struct imgq_reference imgq_reference;

/** @param options name: the list (NULL: "image_queue"); connection fields as in imgq_queue_open() */
IMGQ_API IMGQ_CHECKED imgq_status imgq_reference_open(imgq_env *env, const char *url,
                                                      const imgq_queue_options *options,
                                                      imgq_reference **out, imgq_error *err);
/** RPUSH one tensor. @param id out: the uuid under which its answer will stand; after a failure the one under which
 *  it may stand all the same, "" if it was not pushed */
IMGQ_API IMGQ_CHECKED imgq_status imgq_reference_push(imgq_reference *reference, const float *nhwc,
                                                      size_t count, imgq_id *id, imgq_error *err);
/** Items that wait in the list. */
IMGQ_API IMGQ_CHECKED imgq_status imgq_reference_length(imgq_reference *reference, uint64_t *length,
                                                        imgq_error *err);
/**
 * Look once, in one MGET, which of the ids are answered; an answer's key is deleted.
 * @param results  out, count of them: owned, NULL where there is no answer yet. Class numbers are 0: the wire has none
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_reference_poll(imgq_reference *reference, const imgq_id *ids,
                                                      size_t count, imgq_result **results,
                                                      imgq_error *err);
/** Delete the answers' keys of ids that nobody waits for any more. */
IMGQ_API IMGQ_CHECKED imgq_status imgq_reference_forget(imgq_reference *reference,
                                                        const imgq_id *ids, size_t count,
                                                        imgq_error *err);
IMGQ_API void imgq_reference_interrupt(imgq_reference *reference); /* async-signal-safe */
IMGQ_API void imgq_reference_close(imgq_reference *reference);

#ifdef __cplusplus
}
#endif

#endif
