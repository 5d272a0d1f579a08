/* The queues that a worker serves. A queue is looked into when a wake token came, when its last look left jobs behind,
 * when a delayed job becomes due, and every few seconds all the same: that look also drives the queue's clock. */
#include "worker/sources.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/env.h"
#include "base/fail.h"
#include "base/log.h"
#include "queue/job.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    NS_PER_MS = 1000000,
    MANY_QUEUES_BLOCK_MS = 15000, /* looks have their own clock */
    LOOK_EVERY_MS = 3600,         /* below the 4 s in which a queue wants a sign */
    LOOK_JITTER_MS = 300,
    DUE_JITTER_MS = 20,
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 2000
};

typedef struct source {
    imgq_queue *queue;
    iq_waker *waker;
    int64_t weight, credit;
    int64_t look_ns;       /* due at this instant */
    int64_t down_since_ns; /* 0: the server answers */
    uint32_t backoff_ms;
    bool listening, empty;
} source;

struct iq_sources {
    imgq_env *env;
    uint32_t lease_ms, max_delay_ms;
    int epoll_fd; /* the wakers' descriptors */
    size_t count;
    source items[];
};

static uint32_t random_below(uint32_t bound)
{
    uint32_t value = 0;
    iq_random(&value, sizeof value);
    return value % bound;
}

/* With one queue the end of a wait is the look: one BLPOP and one TAKE in 2.2 s. */
static uint32_t one_queue_block_ms(void)
{
    return IQ_IDLE_BLOCK_MS - 100 + random_below(201);
}

static int64_t in_ms(int64_t ms)
{
    return iq_clock_ns() + ms * NS_PER_MS;
}

static imgq_status open_waker(iq_sources *sources, source *it, imgq_error *err)
{
    int fds[IQ_WAKER_FDS];
    const imgq_status status = iq_waker_open(it->queue, &it->waker, err);
    if (status != IMGQ_OK)
        return status;
    for (size_t i = iq_waker_fds(it->waker, fds); i-- > 0;) {
        struct epoll_event event = {.events = EPOLLIN};
        if (epoll_ctl(sources->epoll_fd, EPOLL_CTL_ADD, fds[i], &event) != 0)
            return iq_fail(err, IMGQ_E_IO, errno, "cannot wait for queue %s", imgq_queue_name(it->queue));
    }
    return IMGQ_OK;
}

imgq_status iq_sources_create(imgq_env *env, const imgq_worker_queue *queues, size_t count, uint32_t lease_ms,
                              uint32_t max_delay_ms, iq_sources **out, imgq_error *err)
{
    const size_t size = sizeof(iq_sources) + count * sizeof(source);
    iq_sources *sources = iq_alloc_array(env, 1, size);
    if (sources == NULL)
        return iq_fail_nomem(err, size);
    sources->env = iq_env_hold(env);
    sources->lease_ms = lease_ms;
    sources->max_delay_ms = max_delay_ms;
    imgq_status status = IMGQ_OK;
    sources->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (sources->epoll_fd < 0)
        status = iq_fail(err, IMGQ_E_IO, errno, "no descriptor left for a worker");
    for (size_t i = 0; i < count && status == IMGQ_OK; i++) {
        source *it = &sources->items[sources->count++];
        it->queue = queues[i].queue;
        it->weight = queues[i].weight > 0 ? queues[i].weight : 1;
        it->look_ns = in_ms(0);
        status = open_waker(sources, it, err);
    }
    if (status != IMGQ_OK) {
        iq_sources_destroy(sources);
        return status;
    }
    *out = sources;
    return IMGQ_OK;
}

void iq_sources_destroy(iq_sources *sources)
{
    if (sources == NULL)
        return;
    imgq_env *env = sources->env;
    if (sources->epoll_fd >= 0)
        (void)close(sources->epoll_fd);
    for (size_t i = 0; i < sources->count; i++)
        iq_waker_close(sources->items[i].waker);
    iq_free(env, sources);
    imgq_env_destroy(env);
}

int iq_sources_fd(const iq_sources *sources)
{
    return sources->epoll_fd;
}

/* Tokens that came since: a token means company may follow, so the look waits max_delay; the end of a wait does not. */
static void hear_wakers(iq_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        source *it = &sources->items[i];
        const iq_wake wake = iq_waker_take(it->waker);
        if (wake == IQ_WAKE_NONE)
            continue;
        it->listening = false;
        const int64_t look_ns = in_ms(wake == IQ_WAKE_TOKEN ? sources->max_delay_ms : 0);
        if (it->down_since_ns == 0 && look_ns < it->look_ns)
            it->look_ns = look_ns;
    }
}

/* Smooth weighted round robin over the queues that are due: each gains its weight, the richest is chosen and pays for
 * all. So a queue's share of the looks is its weight's, and equal ones alternate. */
static source *choose(iq_sources *sources, int64_t now_ns)
{
    source *best = NULL;
    int64_t sum = 0;
    for (size_t i = 0; i < sources->count; i++) {
        source *it = &sources->items[i];
        if (it->look_ns > now_ns)
            continue;
        sum += it->weight;
        it->credit += it->weight;
        if (best == NULL || it->credit > best->credit)
            best = it;
    }
    if (best != NULL)
        best->credit -= sum;
    return best;
}

static void note_up(const iq_sources *sources, source *it)
{
    if (it->down_since_ns != 0)
        iq_log(sources->env, IMGQ_LOG_INFO, "worker", "queue %s: Redis is back after %.1f s",
               imgq_queue_name(it->queue), (double)(iq_clock_ns() - it->down_since_ns) / 1e9);
    it->down_since_ns = 0;
    it->backoff_ms = 0;
}

static void note_down(const iq_sources *sources, source *it, const imgq_error *why)
{
    if (it->down_since_ns == 0) {
        it->down_since_ns = iq_clock_ns();
        iq_log(sources->env, IMGQ_LOG_WARNING, "worker", "queue %s: %s; trying again until it answers",
               imgq_queue_name(it->queue), why->message);
    }
    it->backoff_ms = it->backoff_ms == 0 ? BACKOFF_MIN_MS : it->backoff_ms * 2;
    if (it->backoff_ms > BACKOFF_MAX_MS)
        it->backoff_ms = BACKOFF_MAX_MS;
    it->look_ns = in_ms(it->backoff_ms * 4 / 5 + random_below(it->backoff_ms * 2 / 5 + 1));
    it->empty = false;
}

static void plan_next_look(source *it, size_t taken, size_t max, const iq_take_report *report)
{
    it->empty = taken == 0 && report->left == 0;
    if (report->left > 0 && !report->paused) {
        it->look_ns = 0;
        return;
    }
    int64_t wait_ms = LOOK_EVERY_MS + random_below(LOOK_JITTER_MS);
    if (taken == max)
        wait_ms = 0; /* a full batch says nothing about what came since */
    else if (report->due_ms >= 0 && report->due_ms < wait_ms)
        wait_ms = report->due_ms + random_below(DUE_JITTER_MS + 1);
    it->look_ns = in_ms(wait_ms);
}

static bool is_hopeless(imgq_status status)
{
    return status == IMGQ_E_DENIED || status == IMGQ_E_UNSUPPORTED || status == IMGQ_E_INTERNAL ||
           status == IMGQ_E_CONFLICT || status == IMGQ_E_INVALID;
}

imgq_status iq_sources_take(iq_sources *sources, size_t max, imgq_job **jobs, size_t *count, iq_visit *visit,
                            imgq_error *err)
{
    *count = 0;
    *visit = IQ_VISIT_NONE;
    hear_wakers(sources);
    const int64_t now_ns = iq_clock_ns(); /* a queue that is due again at once is left to the next call */
    for (source *it; *count == 0 && (it = choose(sources, now_ns)) != NULL;) {
        iq_take_report report = {0};
        imgq_error why = {0};
        const imgq_status status = iq_queue_take_now(it->queue, max, sources->lease_ms, jobs, count, &report, &why);
        if (status == IMGQ_OK) {
            note_up(sources, it);
            plan_next_look(it, *count, max, &report);
            if (it->look_ns <= now_ns)
                it->look_ns = now_ns + 1;
            if (*visit != IQ_VISIT_REFUSED)
                *visit = IQ_VISIT_EMPTY;
        } else if (is_hopeless(status)) {
            if (err != NULL)
                *err = why;
            return status;
        } else {
            note_down(sources, it, &why);
            *visit = IQ_VISIT_REFUSED;
        }
    }
    if (*count > 0)
        *visit = IQ_VISIT_JOBS;
    return IMGQ_OK;
}

void iq_sources_look_again(iq_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        if (sources->items[i].down_since_ns == 0)
            sources->items[i].look_ns = in_ms(0);
    }
}

void iq_sources_listen(iq_sources *sources, bool wanted)
{
    for (size_t i = 0; i < sources->count; i++) {
        source *it = &sources->items[i];
        if (wanted && !it->listening && it->down_since_ns == 0)
            iq_waker_arm(it->waker, sources->count == 1 ? one_queue_block_ms() : MANY_QUEUES_BLOCK_MS);
        else if (!wanted && it->listening)
            iq_waker_disarm(it->waker);
        else
            continue;
        it->listening = wanted;
    }
}

int iq_sources_timeout_ms(iq_sources *sources, bool looking)
{
    hear_wakers(sources);
    int64_t next_ns = INT64_MAX;
    int soonest = -1;
    for (size_t i = 0; i < sources->count; i++) {
        const int ms = iq_waker_timeout_ms(sources->items[i].waker);
        if (ms >= 0 && (soonest < 0 || ms < soonest))
            soonest = ms;
        if (looking && sources->items[i].look_ns < next_ns)
            next_ns = sources->items[i].look_ns;
    }
    const int look_ms = iq_deadline_poll_ms((iq_deadline){next_ns});
    return soonest < 0 || (look_ms >= 0 && look_ms < soonest) ? look_ms : soonest;
}

bool iq_sources_are_empty(const iq_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        if (!sources->items[i].empty)
            return false;
    }
    return true;
}
