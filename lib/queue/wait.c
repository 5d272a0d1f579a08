/* Waiting for work: one take, and a wait for a wake token after each that found nothing, at one command a second. */
#include "queue/job.h"

#include "base/crypto.h"
#include "base/fail.h"

#include <poll.h>

enum { NS_PER_MS = 1000000, RETRY_MS = 200, DUE_JITTER_MS = 20, BLOCK_JITTER_MS = 100 };

static uint32_t random_below(uint32_t bound)
{
    uint32_t value = 0;
    iq_random(&value, sizeof value);
    return value % bound;
}

static imgq_status check_take(imgq_queue *queue, size_t max, int64_t max_delay_ms, int64_t *lease_ms, imgq_job **jobs,
                              size_t *count, imgq_error *err)
{
    if (queue == NULL || jobs == NULL || count == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "take without a queue or a place for jobs");
    *count = 0;
    if (max == 0 || max > IMGQ_TAKE_MAX)
        return iq_fail(err, IMGQ_E_INVALID, 0, "take %zu jobs, it must be 1 to %d", max, IMGQ_TAKE_MAX);
    if (*lease_ms == 0)
        *lease_ms = IQ_LEASE_DEFAULT_MS;
    if (*lease_ms < IQ_LEASE_MIN_MS || *lease_ms > IQ_LEASE_MAX_MS)
        return iq_fail(err, IMGQ_E_INVALID, 0, "take with a lease of %lld ms, it must be %d to %d",
                       (long long)*lease_ms, IQ_LEASE_MIN_MS, IQ_LEASE_MAX_MS);
    if (max_delay_ms < 0)
        return iq_fail(err, IMGQ_E_INVALID, 0, "take with a delay of %lld ms", (long long)max_delay_ms);
    return IMGQ_OK;
}

/* Polls the waker's descriptors and the handle's interrupt. */
static imgq_status wait_on_waker(imgq_queue *queue, iq_waker *waker, iq_deadline until, bool *token, imgq_error *err)
{
    for (;;) {
        const iq_wake wake = iq_waker_take(waker);
        if (iq_interrupt_is_set(&queue->interrupt))
            return iq_fail(err, IMGQ_E_CANCELLED, 0, "interrupted");
        *token = wake == IQ_WAKE_TOKEN;
        if (wake != IQ_WAKE_NONE || iq_deadline_passed(until))
            return IMGQ_OK;
        int fds[IQ_WAKER_FDS];
        struct pollfd polled[IQ_WAKER_FDS + 1] = {{.fd = queue->interrupt.fd, .events = POLLIN}};
        const size_t count = iq_waker_fds(waker, fds);
        for (size_t i = 0; i < count; i++)
            polled[i + 1] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        int timeout_ms = iq_deadline_poll_ms(until);
        const int waker_ms = iq_waker_timeout_ms(waker);
        if (waker_ms >= 0 && (timeout_ms < 0 || waker_ms < timeout_ms))
            timeout_ms = waker_ms;
        (void)poll(polled, (nfds_t)count + 1, timeout_ms);
    }
}

/* One thread of the handle waits for tokens; another that comes sleeps until its own next look. */
static imgq_status wait_for_token(imgq_queue *queue, uint32_t block_ms, iq_deadline until, bool *token, imgq_error *err)
{
    iq_taker *taker = queue->taker;
    pthread_mutex_lock(&taker->lock);
    const bool mine = !taker->waking;
    taker->waking = true;
    pthread_mutex_unlock(&taker->lock);
    if (!mine)
        return iq_queue_sleep(queue, until, err);
    imgq_status status = taker->waker == NULL ? iq_waker_open(queue, &taker->waker, err) : IMGQ_OK;
    if (status == IMGQ_OK) {
        iq_waker_arm(taker->waker, block_ms);
        status = wait_on_waker(queue, taker->waker, until, token, err);
    }
    pthread_mutex_lock(&taker->lock);
    taker->waking = false;
    pthread_mutex_unlock(&taker->lock);
    return status;
}

/* Waits where a look found nothing: for a token, for a delayed job, at most for the time of an idle visit. */
static imgq_status wait_after_empty(imgq_queue *queue, const iq_take_report *report, iq_deadline deadline, bool *token,
                                    imgq_error *err)
{
    const uint32_t idle_ms = IQ_IDLE_BLOCK_MS - BLOCK_JITTER_MS + random_below(2 * BLOCK_JITTER_MS + 1);
    int64_t wait_ms = idle_ms;
    if (report->due_ms >= 0 && report->due_ms < wait_ms)
        wait_ms = report->due_ms + random_below(DUE_JITTER_MS + 1);
    const int64_t left_ms = iq_deadline_left_ns(deadline) / NS_PER_MS + 1;
    if (left_ms < wait_ms)
        wait_ms = left_ms;
    return wait_for_token(queue, (uint32_t)wait_ms, iq_deadline_min(deadline, iq_deadline_after_ms(wait_ms + RETRY_MS)),
                          token, err);
}

/* Before the one TAKE: is there a job, and then some time for company. @return IMGQ_OK; *ready: take now */
static imgq_status gather(imgq_queue *queue, size_t max, int64_t max_delay_ms, int64_t lease_ms, iq_deadline deadline,
                          bool token, iq_take_report *report, bool *ready, imgq_error *err)
{
    imgq_job *none[1];
    size_t count = 0;
    *ready = true;
    if (!token) {
        const imgq_status status = iq_queue_take_now(queue, 0, lease_ms, none, &count, report, err);
        if (status != IMGQ_OK)
            return status;
        *ready = report->left > 0 || report->paused;
        if (!*ready || report->left >= max)
            return IMGQ_OK;
    }
    return iq_queue_sleep(queue, iq_deadline_min(deadline, iq_deadline_after_ms(max_delay_ms)), err);
}

/* Away for a moment is waited out; away for the whole time, or for as long as one call lasts, is told. */
static imgq_status wait_after_failure(imgq_queue *queue, imgq_status status, iq_deadline patience, imgq_error *err)
{
    const bool passes = status == IMGQ_E_UNAVAILABLE || status == IMGQ_E_TIMEOUT || status == IMGQ_E_BUSY;
    if (!passes || iq_deadline_passed(patience))
        return status;
    const iq_deadline pause = iq_deadline_after_ms(iq_queue_jitter(RETRY_MS));
    return iq_queue_sleep(queue, iq_deadline_min(patience, pause), err);
}

imgq_status imgq_queue_take(imgq_queue *queue, size_t max, int64_t max_delay_ms, int64_t lease_ms, int64_t timeout_ms,
                            imgq_job **jobs, size_t *count, imgq_error *err)
{
    imgq_status status = check_take(queue, max, max_delay_ms, &lease_ms, jobs, count, err);
    if (status != IMGQ_OK)
        return status;
    const iq_deadline deadline = iq_deadline_after_ms(timeout_ms);
    iq_deadline patience = iq_deadline_min(deadline, iq_queue_deadline(queue));
    bool token = false;
    for (;;) {
        iq_take_report report = {.due_ms = -1};
        bool ready = true;
        if (iq_interrupt_is_set(&queue->interrupt))
            return iq_fail(err, IMGQ_E_CANCELLED, 0, "interrupted");
        status = max_delay_ms > 0 ? gather(queue, max, max_delay_ms, lease_ms, deadline, token, &report, &ready, err)
                                  : IMGQ_OK;
        if (status == IMGQ_OK && ready)
            status = iq_queue_take_now(queue, max, lease_ms, jobs, count, &report, err);
        if (status == IMGQ_OK && *count > 0)
            return IMGQ_OK;
        token = false;
        if (status != IMGQ_OK) {
            status = wait_after_failure(queue, status, patience, err);
            if (status != IMGQ_OK)
                return status;
            continue;
        }
        patience = iq_deadline_min(deadline, iq_queue_deadline(queue));
        if (report.left > 0 && !report.paused)
            continue; /* those looked at had expired: the next ones may not */
        if (iq_deadline_passed(deadline) && report.paused)
            return iq_fail(err, IMGQ_E_BUSY, 0, "deliveries of queue %s are paused", imgq_queue_name(queue));
        if (iq_deadline_passed(deadline))
            return iq_fail(err, IMGQ_E_TIMEOUT, 0, "no job waits in queue %s", imgq_queue_name(queue));
        status = wait_after_empty(queue, &report, deadline, &token, err);
        if (status != IMGQ_OK)
            return status;
    }
}
