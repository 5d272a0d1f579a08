/* Ends handed out: to threads that wait, and to a host's event loop. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fail.h"
#include "queue/inbox.h"

#include <poll.h>
#include <string.h>

static size_t id_len(const imgq_id *id)
{
    return strnlen(id->text, sizeof id->text - 1);
}

/* Under the lock. */
static void hand_out(iq_inbox *inbox, iq_follow *follow, imgq_result **out)
{
    *out = follow->result;
    follow->result = NULL;
    if (follow->sending > 0) {
        /* The same id is being submitted once more: that one has to be heard of again. */
        follow->accepted = false;
        iq_follows_move(&inbox->follows, follow, IQ_FOLLOW_NONE);
    } else {
        iq_follows_remove(&inbox->follows, follow);
    }
}

/* Under the lock. @return IMGQ_OK; IMGQ_E_TIMEOUT (not yet, *err untouched); IMGQ_E_NOTFOUND */
static imgq_status look_any(iq_inbox *inbox, imgq_result **out, imgq_error *err)
{
    iq_follow *ready = inbox->follows.first[IQ_FOLLOW_READY];
    if (ready != NULL) {
        hand_out(inbox, ready, out);
        return IMGQ_OK;
    }
    if (inbox->follows.asked == 0 && inbox->follows.sending == 0)
        return iq_fail(err, IMGQ_E_NOTFOUND, 0, "no job is followed by this handle");
    return IMGQ_E_TIMEOUT;
}

/* As look_any(), among these alone. */
static imgq_status look_for(iq_inbox *inbox, const imgq_id *ids, size_t count, imgq_result **out, imgq_error *err)
{
    const imgq_id *stranger = NULL;
    for (size_t i = 0; i < count; i++) {
        iq_follow *follow = iq_follows_find(&inbox->follows, ids[i].text, id_len(&ids[i]));
        if (follow == NULL)
            stranger = stranger != NULL ? stranger : &ids[i];
        else if (follow->list == IQ_FOLLOW_READY) {
            hand_out(inbox, follow, out);
            return IMGQ_OK;
        }
    }
    if (stranger != NULL)
        return iq_fail(err, IMGQ_E_NOTFOUND, 0, "job %.64s is not followed by this handle", stranger->text);
    return IMGQ_E_TIMEOUT;
}

static imgq_status look(iq_inbox *inbox, const imgq_id *ids, size_t count, imgq_result **out, imgq_error *err)
{
    return ids == NULL ? look_any(inbox, out, err) : look_for(inbox, ids, count, out, err);
}

/* The deadline has passed: was it the jobs that took so long, or was Redis away all the time? */
static imgq_status fail_late(const iq_inbox *inbox, int64_t since_ns, int64_t timeout_ms, imgq_error *err)
{
    if (inbox->down_ns == 0 || inbox->down_ns > since_ns)
        return iq_fail(err, IMGQ_E_TIMEOUT, 0, "no answer within %lld ms", (long long)timeout_ms);
    if (err != NULL) {
        *err = inbox->down;
        err->status = IMGQ_E_UNAVAILABLE;
    }
    return IMGQ_E_UNAVAILABLE;
}

/* Under the lock. Why waiting has to end though nothing is ready; IMGQ_OK: it has not. */
static imgq_status ended(iq_inbox *inbox, imgq_error *err)
{
    if (iq_interrupt_is_set(&inbox->queue->interrupt))
        return iq_fail(err, IMGQ_E_CANCELLED, 0, "interrupted");
    if (inbox->nomem) {
        inbox->nomem = false;
        return iq_fail_nomem(err, 1);
    }
    return IMGQ_OK;
}

imgq_status imgq_queue_await(imgq_queue *queue, const imgq_id *ids, size_t count, int64_t timeout_ms, imgq_result **out,
                             imgq_error *err)
{
    iq_inbox *inbox = queue->inbox;
    const int64_t since_ns = iq_clock_ns();
    const iq_deadline deadline = iq_deadline_after_ms(timeout_ms);
    *out = NULL;
    if ((ids == NULL) != (count == 0) || count > IMGQ_AWAIT_MAX)
        return iq_fail(err, IMGQ_E_INVALID, 0, "await %zu jobs: 1 to %d ids, or none of both", count,
                       (int)IMGQ_AWAIT_MAX);
    pthread_mutex_lock(&inbox->lock);
    imgq_status status = look(inbox, ids, count, out, err);
    /* Look once more after the first wait even if the deadline is there: with 0 that is the one look. */
    for (bool last = false; status == IMGQ_E_TIMEOUT && !last;) {
        status = ended(inbox, err);
        if (status != IMGQ_OK)
            break;
        last = iq_deadline_passed(deadline);
        iq_inbox_wait(inbox, deadline);
        status = look(inbox, ids, count, out, err);
    }
    if (status == IMGQ_E_TIMEOUT)
        status = fail_late(inbox, since_ns, timeout_ms, err);
    pthread_mutex_unlock(&inbox->lock);
    return status;
}

void imgq_queue_forget(imgq_queue *queue, const imgq_id *id)
{
    iq_inbox_forget(queue->inbox, id);
}

/* ---- a host's event loop ---- */

int imgq_queue_fd(imgq_queue *queue)
{
    return queue->inbox->fd;
}

int imgq_queue_events(imgq_queue *queue)
{
    (void)queue; /* an epoll: what it watches for changes, that it is read does not */
    return POLLIN;
}

int imgq_queue_timeout_ms(imgq_queue *queue)
{
    enum { SOMEBODY_ELSE_READS_MS = 50 };
    iq_inbox *inbox = queue->inbox;
    int timeout_ms = 0;
    pthread_mutex_lock(&inbox->lock);
    if (inbox->follows.first[IQ_FOLLOW_READY] == NULL) {
        iq_deadline wake = iq_deadline_after_ms(SOMEBODY_ELSE_READS_MS);
        if (!inbox->driving) {
            wake = iq_inbox_wake_at(inbox);
            inbox->planned_ns = wake.at_ns;
        }
        timeout_ms = iq_deadline_poll_ms(wake);
    }
    pthread_mutex_unlock(&inbox->lock);
    return timeout_ms;
}

imgq_status imgq_queue_process(imgq_queue *queue, imgq_result **ready, imgq_error *err)
{
    iq_inbox *inbox = queue->inbox;
    *ready = NULL;
    pthread_mutex_lock(&inbox->lock);
    imgq_status status = look_any(inbox, ready, NULL);
    if (status != IMGQ_OK && !inbox->driving) {
        inbox->driving = true;
        pthread_mutex_unlock(&inbox->lock);
        iq_inbox_step(inbox);
        pthread_mutex_lock(&inbox->lock);
        inbox->driving = false;
        pthread_cond_broadcast(&inbox->changed);
        status = look_any(inbox, ready, NULL);
    }
    if (status != IMGQ_OK)
        status = iq_fail(err, IMGQ_E_TIMEOUT, 0, "nothing has ended");
    pthread_mutex_unlock(&inbox->lock);
    return status;
}
