/* The worker: builds its parts, starts and joins its threads, and passes on the word to stop. */
#include "worker/batcher.h"
#include "worker/decoder.h"
#include "worker/feeder.h"
#include "worker/reporter.h"
#include "worker/runner.h"
#include "worker/sources.h"
#include "worker/taker.h"

#include <imgq/session.h>
#include <imgq/worker.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/fail.h"
#include "base/json.h"
#include "base/log.h"
#include "base/options.h"
#include "base/pool.h"
#include "queue/job.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BATCH_DEFAULT = 32, BATCH_MAX = 1024, QUEUES_MAX = 64, DECODERS_MAX = 256, FORWARD_WAIT_MS = 20000 };

/* How long the free runner waits for images that are being decoded while others are ready; batcher.h says when which.
 */
static const int64_t COMPANY_NS = 1000000, PATIENCE_NS = 100000000;

struct imgq_worker {
    imgq_env *env;
    imgq_worker_options options;
    imgq_worker_queue queues[QUEUES_MAX];
    size_t queue_count;
    imgq_model *model; /* borrowed; NULL: no inference */
    imgq_session *session;
    imgq_recipe recipe;
    bool decodes;
    int stop_fd, event_fd;
    atomic_int stops;
    bool ran; /* its pipeline ends with its run */
    iq_tally tally;
    iq_decoder decoder;
    iq_batcher *batcher;
    iq_runner *runner;
    iq_reporter *reporter;
};

static imgq_status check_options(imgq_worker_options *o, imgq_error *err)
{
    if (o->max_batch == 0)
        o->max_batch = BATCH_DEFAULT;
    if (o->lease_ms == 0)
        o->lease_ms = IQ_LEASE_DEFAULT_MS;
    if (o->forward_wait_ms == 0)
        o->forward_wait_ms = FORWARD_WAIT_MS;
    if (o->threads == 0)
        o->threads = iq_granted_cores();
    if (o->decoders == 0)
        o->decoders = o->threads;
    if (o->decoders > DECODERS_MAX)
        o->decoders = DECODERS_MAX;
    if (o->max_batch > BATCH_MAX)
        return iq_fail(err, IMGQ_E_INVALID, 0, "a batch of %zu images, at most %d are run together", o->max_batch,
                       BATCH_MAX);
    if (o->lease_ms < IQ_LEASE_MIN_MS || o->lease_ms > IQ_LEASE_MAX_MS)
        return iq_fail(err, IMGQ_E_INVALID, 0, "a lease of %u ms, it must be %d to %d", o->lease_ms, IQ_LEASE_MIN_MS,
                       IQ_LEASE_MAX_MS);
    return IMGQ_OK;
}

static imgq_status check_queues(imgq_worker *worker, const imgq_worker_queue *queues, size_t count, imgq_error *err)
{
    if (queues == NULL || count == 0 || count > QUEUES_MAX)
        return iq_fail(err, IMGQ_E_INVALID, 0, "a worker of %zu queues, it must be 1 to %d", count, QUEUES_MAX);
    for (size_t i = 0; i < count; i++) {
        const imgq_queue *queue = queues[i].queue;
        if (queue == NULL || (queue->options.roles & IMGQ_ROLE_WORKER) == 0 || queue->options.keep_leases == 0)
            return iq_fail(err, IMGQ_E_INVALID, 0,
                           "a worker's queue must be opened with IMGQ_ROLE_WORKER and keep_leases");
        worker->queues[i] = queues[i];
    }
    worker->queue_count = count;
    return IMGQ_OK;
}

static imgq_status choose_recipe(imgq_worker *worker, imgq_error *err)
{
    worker->decodes = worker->model != NULL || worker->options.forward_to != NULL;
    if (worker->model != NULL)
        worker->recipe = *imgq_model_recipe(worker->model);
    else if (worker->options.forward_to != NULL) {
        worker->recipe.size = sizeof worker->recipe;
        return imgq_recipe_find("keras", &worker->recipe, err);
    }
    return IMGQ_OK;
}

static imgq_status build_pipeline(imgq_worker *worker, imgq_error *err)
{
    const imgq_worker_options *o = &worker->options;
    const size_t input_count = worker->decodes ? iq_recipe_input_count(&worker->recipe) : 0;
    const iq_batcher_options batches = {.capacity = o->max_batch,
                                        .output_count =
                                            worker->model != NULL ? imgq_model_class_count(worker->model) : 0,
                                        .decodes = worker->decodes,
                                        .event_fd = worker->event_fd,
                                        .company_ns = COMPANY_NS,
                                        .patience_ns = PATIENCE_NS};
    imgq_status status = iq_batcher_create(worker->env, &batches, &worker->batcher, err);
    if (status == IMGQ_OK)
        status = iq_runner_create(worker->env, worker->batcher, o->max_batch, input_count, worker->model,
                                  worker->session, &worker->runner, err);
    if (status == IMGQ_OK)
        status = iq_reporter_create(worker->env, worker->batcher, o->max_batch, worker->model, worker->session,
                                    &worker->tally, &worker->reporter, err);
    return status;
}

static imgq_status build(imgq_worker *worker, imgq_error *err)
{
    const imgq_worker_options *o = &worker->options;
    const bool runs = worker->model != NULL && o->forward_to == NULL;
    imgq_status status = IMGQ_OK;
    if (runs) {
        imgq_session_options session = IMGQ_SESSION_OPTIONS_INIT;
        session.threads = o->threads;
        session.max_batch = o->max_batch;
        session.engine = o->engine;
        session.precision = o->precision;
        session.isa = o->isa;
        status = imgq_session_create(worker->model, &session, &worker->session, err);
    }
    worker->decoder = (iq_decoder){.env = worker->env,
                                   .recipe = &worker->recipe,
                                   .model_name = runs ? imgq_model_name(worker->model) : NULL,
                                   .model_hash = runs ? imgq_model_hash(worker->model) : NULL,
                                   .exif_apply = o->exif_apply,
                                   .fast = o->decode_fast};
    if (status != IMGQ_OK || o->forward_to != NULL)
        return status;
    return build_pipeline(worker, err);
}

/* The line that imgq-ctl and imgq-submit read: what this worker would answer with. */
static imgq_status tell_info(const imgq_worker *worker, imgq_error *err)
{
    imgq_env *env = worker->env;
    const bool runs = worker->session != NULL;
    const char *model = runs ? imgq_model_name(worker->model) : worker->options.forward_to != NULL ? "forward" : "none";
    iq_buf json = {.max = 2048};
    iq_buf_append_text(env, &json, "{\"model\":");
    iq_json_write_text(env, &json, model);
    if (runs) {
        iq_buf_append_text(env, &json, ",\"hash\":");
        iq_json_write_text(env, &json, imgq_model_hash(worker->model));
        iq_buf_append_text(env, &json, ",\"engine\":");
        iq_json_write_text(env, &json, imgq_session_engine(worker->session));
        iq_buf_append_text(env, &json, ",\"precision\":");
        iq_json_write_text(env, &json, imgq_session_precision(worker->session));
    }
    if (worker->decodes) {
        iq_buf_append_text(env, &json, ",\"profile\":");
        iq_json_write_text(env, &json, worker->recipe.profile);
        iq_buf_append_format(env, &json, ",\"width\":%u,\"height\":%u", worker->recipe.crop_width,
                             worker->recipe.crop_height);
        if (worker->options.decode_fast) /* not exact, so whoever asks is told */
            iq_buf_append_text(env, &json, ",\"decode\":\"fast\"");
    }
    iq_buf_append_format(env, &json, ",\"batch\":%zu,\"threads\":%zu,\"pid\":%ld}", worker->options.max_batch,
                         worker->options.threads, (long)getpid());
    imgq_status status = json.failed ? iq_fail_nomem(err, json.len) : IMGQ_OK;
    for (size_t i = 0; i < worker->queue_count && status == IMGQ_OK; i++)
        status = imgq_queue_set_worker_info(worker->queues[i].queue, (const char *)json.data, err);
    iq_buf_release(env, &json);
    return status;
}

imgq_status imgq_worker_create(const imgq_worker_queue *queues, size_t count, imgq_model *model,
                               const imgq_worker_options *options, imgq_worker **out, imgq_error *err)
{
    if (out == NULL || queues == NULL || count == 0 || queues[0].queue == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "a worker without a queue");
    *out = NULL;
    imgq_env *env = queues[0].queue->env;
    imgq_worker *worker = iq_alloc_array(env, 1, sizeof *worker);
    if (worker == NULL)
        return iq_fail_nomem(err, sizeof *worker);
    worker->env = iq_env_hold(env);
    worker->model = model;
    worker->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    imgq_status status = iq_options_copy(&worker->options, sizeof worker->options, options, err);
    if (status == IMGQ_OK && (worker->stop_fd < 0 || worker->event_fd < 0))
        status = iq_fail(err, IMGQ_E_IO, errno, "no descriptor left for a worker");
    if (status == IMGQ_OK)
        status = check_options(&worker->options, err);
    if (status == IMGQ_OK)
        status = check_queues(worker, queues, count, err);
    if (status == IMGQ_OK)
        status = choose_recipe(worker, err);
    if (status == IMGQ_OK)
        status = build(worker, err);
    if (status == IMGQ_OK)
        status = tell_info(worker, err);
    if (status != IMGQ_OK) {
        imgq_worker_destroy(worker);
        return status;
    }
    *out = worker;
    return IMGQ_OK;
}

static void *decode_main(void *user)
{
    imgq_worker *worker = user;
    for (iq_slot *slot; (slot = iq_batcher_work(worker->batcher)) != NULL;) {
        if (!iq_batcher_is_stale(worker->batcher)) {
            imgq_error why = {0};
            slot->error.status = iq_decoder_prepare(&worker->decoder, slot, &why);
            if (slot->error.status != IMGQ_OK)
                slot->error = why;
        }
        iq_batcher_decoded(worker->batcher, slot);
    }
    return NULL;
}

/* The helpers of one run. */
typedef struct crew {
    pthread_t decoders[DECODERS_MAX], runner, reporter;
    size_t decoder_count;
    bool runner_runs, reporter_runs;
} crew;

static imgq_status start_crew(imgq_worker *worker, crew *hands, imgq_error *err)
{
    const size_t wanted = worker->decodes ? worker->options.decoders : 0;
    int failed = 0;
    while (failed == 0 && hands->decoder_count < wanted) {
        failed = iq_thread_start(&hands->decoders[hands->decoder_count], "imgq-decode", decode_main, worker);
        hands->decoder_count += failed == 0;
    }
    if (failed == 0) {
        failed = iq_thread_start(&hands->runner, "imgq-run", iq_runner_main, worker->runner);
        hands->runner_runs = failed == 0;
    }
    if (failed == 0) {
        failed = iq_thread_start(&hands->reporter, "imgq-report", iq_reporter_main, worker->reporter);
        hands->reporter_runs = failed == 0;
    }
    if (failed != 0)
        return iq_fail(err, IMGQ_E_NOMEM, failed, "cannot start the worker's threads");
    return IMGQ_OK;
}

static void join_crew(crew *hands)
{
    for (size_t i = 0; i < hands->decoder_count; i++)
        (void)pthread_join(hands->decoders[i], NULL);
    if (hands->runner_runs)
        (void)pthread_join(hands->runner, NULL);
    if (hands->reporter_runs)
        (void)pthread_join(hands->reporter, NULL);
}

/* After a second stop the reporter may still be telling a Redis that is away what it found: that must end, too. */
static void interrupt_calls(imgq_worker *worker, bool interrupted)
{
    for (size_t i = 0; i < worker->queue_count; i++) {
        if (interrupted)
            imgq_queue_interrupt(worker->queues[i].queue);
        else
            imgq_queue_resume_calls(worker->queues[i].queue);
    }
}

static imgq_status run_pipeline(imgq_worker *worker, const iq_shift *shift, imgq_error *err)
{
    crew hands = {0};
    imgq_status status = start_crew(worker, &hands, err);
    if (status == IMGQ_OK)
        status = iq_taker_loop(shift, worker->batcher, err);
    else
        iq_batcher_stop(worker->batcher);
    const bool hurried = iq_shift_stops(shift) > 1;
    if (hurried)
        interrupt_calls(worker, true);
    join_crew(&hands);
    if (hurried)
        interrupt_calls(worker, false);
    return status;
}

imgq_status imgq_worker_run(imgq_worker *worker, imgq_error *err)
{
    const imgq_worker_options *o = &worker->options;
    iq_sources *sources = NULL;
    if (worker->ran)
        return iq_fail(err, IMGQ_E_INVALID, 0, "run a worker that has ended");
    imgq_status status = iq_sources_create(worker->env, worker->queues, worker->queue_count, o->lease_ms,
                                           o->max_delay_ms, &sources, err);
    if (status != IMGQ_OK)
        return status;
    worker->ran = true;
    const iq_shift shift = {.env = worker->env,
                            .sources = sources,
                            .tally = &worker->tally,
                            .stops = &worker->stops,
                            .stop_fd = worker->stop_fd,
                            .event_fd = worker->event_fd,
                            .drain = o->drain != 0,
                            .progress = o->progress,
                            .progress_user = o->progress_user};
    if (o->forward_to != NULL)
        status = iq_feeder_loop(&shift, o->forward_to, &worker->decoder, o->forward_wait_ms, err);
    else
        status = run_pipeline(worker, &shift, err);
    iq_sources_destroy(sources);
    return status;
}

void imgq_worker_stop(imgq_worker *worker)
{
    const int kept_errno = errno; /* a signal handler calls this */
    const uint64_t one = 1;
    atomic_fetch_add_explicit(&worker->stops, 1, memory_order_release);
    const ssize_t written = write(worker->stop_fd, &one, sizeof one);
    (void)written;
    errno = kept_errno;
}

void imgq_worker_destroy(imgq_worker *worker)
{
    if (worker == NULL)
        return;
    imgq_env *env = worker->env;
    iq_reporter_destroy(worker->reporter);
    iq_runner_destroy(worker->runner);
    iq_batcher_destroy(worker->batcher);
    imgq_session_destroy(worker->session);
    if (worker->stop_fd >= 0)
        (void)close(worker->stop_fd);
    if (worker->event_fd >= 0)
        (void)close(worker->event_fd);
    iq_free(env, worker);
    imgq_env_destroy(env);
}
