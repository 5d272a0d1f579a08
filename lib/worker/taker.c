/* The worker's own thread. It takes only while a slot is free, so that nothing grows old under a lease, and listens for
 * wake tokens only while it could take. */
#include "worker/taker.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/log.h"
#include "queue/job.h"

#include <poll.h>
#include <unistd.h>

enum {
    GIVE_BACK_MS = 800,  /* a second stop has one second for all */
    FULL_LOOK_MS = 2000, /* while there is no room: how often the host is told of reports that wait for Redis */
};

/* Empties an eventfd; another reader may have been faster. */
static void use_up(int fd)
{
    uint64_t seen = 0;
    const ssize_t got = read(fd, &seen, sizeof seen);
    (void)got;
}

void iq_shift_wait(const iq_shift *shift, bool looking, int timeout_ms)
{
    struct pollfd fds[] = {{.fd = shift->stop_fd, .events = POLLIN},
                           {.fd = shift->event_fd, .events = POLLIN},
                           {.fd = iq_sources_fd(shift->sources), .events = POLLIN}};
    const int due_ms = iq_sources_timeout_ms(shift->sources, looking);
    if (due_ms >= 0 && (timeout_ms < 0 || due_ms < timeout_ms))
        timeout_ms = due_ms;
    if (poll(fds, 3, timeout_ms) <= 0)
        return;
    if ((fds[0].revents & POLLIN) != 0)
        use_up(shift->stop_fd);
    if ((fds[1].revents & POLLIN) != 0)
        use_up(shift->event_fd);
}

int iq_shift_stops(const iq_shift *shift)
{
    return atomic_load_explicit(shift->stops, memory_order_acquire);
}

static void tell_host(const iq_shift *shift)
{
    if (shift->progress != NULL)
        shift->progress(shift->progress_user, atomic_load_explicit(&shift->tally->done, memory_order_relaxed),
                        atomic_load_explicit(&shift->tally->failed, memory_order_relaxed));
}

void iq_shift_progress(const iq_shift *shift)
{
    if (iq_shift_stops(shift) < 2)
        tell_host(shift);
}

void iq_shift_given_back(const iq_shift *shift)
{
    if (iq_shift_stops(shift) > 1)
        tell_host(shift);
}

/* Tells the host about batches that ended since, and about quiet visits while nothing is in hand: a worker whose
 * runner hangs must fall silent, however well its queues answer. */
typedef struct pulse {
    uint64_t ended;
} pulse;

static void pulse_check(pulse *it, const iq_shift *shift, iq_visit visit, size_t held)
{
    const uint64_t ended = atomic_load_explicit(&shift->tally->done, memory_order_relaxed) +
                           atomic_load_explicit(&shift->tally->failed, memory_order_relaxed);
    const bool waits_for_redis =
        visit == IQ_VISIT_REFUSED || atomic_load_explicit(&shift->tally->reporting, memory_order_relaxed);
    if (ended != it->ended || waits_for_redis || (visit == IQ_VISIT_EMPTY && held == 0))
        iq_shift_progress(shift);
    it->ended = ended;
}

static void give_back(const iq_shift *shift, iq_batcher *batcher, bool everything, imgq_job **jobs)
{
    const size_t count = iq_batcher_reclaim(batcher, everything, jobs);
    if (count == 0)
        return;
    iq_log(shift->env, IMGQ_LOG_INFO, "worker", "giving back %zu jobs", count);
    iq_jobs_release_before(jobs, count, iq_deadline_after_ms(GIVE_BACK_MS));
}

/* After a second stop. What decoders have in hand is given back when they are through with it. What the reporter has is
 * neither to be given back nor to be cut off: a Redis that answers has been told of it within this time. */
static void hurry(const iq_shift *shift, iq_batcher *batcher, imgq_job **jobs)
{
    const iq_deadline patience = iq_deadline_after_ms(GIVE_BACK_MS);
    for (;;) {
        give_back(shift, batcher, true, jobs);
        const bool reporting = iq_batcher_reporting(batcher) && !iq_deadline_passed(patience);
        if (iq_batcher_decoding(batcher) == 0 && !reporting)
            break;
        iq_shift_wait(shift, false, reporting ? iq_deadline_poll_ms(patience) : FULL_LOOK_MS);
    }
    iq_shift_given_back(shift);
}

/* First stop: the batch in hand is finished, what was taken beyond it goes back. Second: everything goes back. */
static void wind_up(const iq_shift *shift, iq_batcher *batcher, imgq_job **jobs)
{
    pulse ended = {0};
    iq_sources_listen(shift->sources, false);
    iq_batcher_stop(batcher);
    for (;;) {
        give_back(shift, batcher, false, jobs);
        if (iq_batcher_held(batcher) == 0)
            break;
        if (iq_shift_stops(shift) > 1) {
            hurry(shift, batcher, jobs);
            break;
        }
        iq_shift_wait(shift, false, FULL_LOOK_MS);
        pulse_check(&ended, shift, IQ_VISIT_NONE, 1);
    }
}

static imgq_status take_until_stopped(const iq_shift *shift, iq_batcher *batcher, imgq_job **jobs, imgq_error *err)
{
    pulse ended = {0};
    bool had_room = true, looked_at_rest = false;
    while (iq_shift_stops(shift) == 0) {
        const size_t room = iq_batcher_room(batcher), held = iq_batcher_held(batcher);
        iq_visit visit = IQ_VISIT_NONE;
        size_t count = 0;
        if (room > 0) {
            if (!had_room)
                iq_sources_look_again(shift->sources);
            const size_t max = room < IMGQ_TAKE_MAX ? room : IMGQ_TAKE_MAX;
            const imgq_status status = iq_sources_take(shift->sources, max, jobs, &count, &visit, err);
            if (status != IMGQ_OK)
                return status;
            iq_batcher_add(batcher, jobs, count);
        }
        had_room = room > 0;
        pulse_check(&ended, shift, visit, held);
        if (count > 0) {
            looked_at_rest = false;
            continue;
        }
        /* Drained: nothing was held, and then every queue said that nothing waits. */
        if (shift->drain && held == 0) {
            if (looked_at_rest && iq_sources_are_empty(shift->sources))
                return IMGQ_OK;
            if (!looked_at_rest) {
                looked_at_rest = true;
                iq_sources_look_again(shift->sources);
                continue;
            }
        }
        iq_sources_listen(shift->sources, room > 0);
        iq_shift_wait(shift, room > 0, room > 0 ? -1 : FULL_LOOK_MS);
    }
    return IMGQ_OK;
}

imgq_status iq_taker_loop(const iq_shift *shift, iq_batcher *batcher, imgq_error *err)
{
    const size_t size = iq_batcher_slots(batcher) > IMGQ_TAKE_MAX ? iq_batcher_slots(batcher) : IMGQ_TAKE_MAX;
    imgq_job **jobs = iq_alloc_array(shift->env, size, sizeof *jobs);
    if (jobs == NULL) {
        iq_batcher_stop(batcher); /* the helpers end with it */
        return iq_fail_nomem(err, size * sizeof *jobs);
    }
    const imgq_status status = take_until_stopped(shift, batcher, jobs, err);
    wind_up(shift, batcher, jobs);
    iq_free(shift->env, jobs);
    return status;
}
