#include "queue/inbox.h"

#include <imgq/admin.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fail.h"
#include "base/log.h"
#include "queue/result.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* ---- birth and death ---- */

static imgq_status make_condition(pthread_cond_t *out, imgq_error *err)
{
    pthread_condattr_t attributes;
    int rc = pthread_condattr_init(&attributes);
    if (rc == 0) {
        rc = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        if (rc == 0)
            rc = pthread_cond_init(out, &attributes);
        pthread_condattr_destroy(&attributes);
    }
    return rc == 0 ? IMGQ_OK : iq_fail(err, IMGQ_E_NOMEM, rc, "make a condition variable");
}

static imgq_status watch(iq_inbox *inbox, int fd, imgq_error *err)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (fd < 0 || epoll_ctl(inbox->fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return iq_fail(err, IMGQ_E_IO, 0, "watch the inbox: no descriptor left");
    return IMGQ_OK;
}

static imgq_status open_connections(iq_inbox *inbox, const iq_url *url, const iq_conn_options *options, imgq_error *err)
{
    imgq_status status = iq_conn_open(inbox->env, url, options, &inbox->hear, err);
    if (status == IMGQ_OK)
        status = iq_conn_open(inbox->env, url, options, &inbox->ask, err);
    if (status == IMGQ_OK)
        status = iq_interrupt_open(&inbox->nudge, err);
    if (status != IMGQ_OK)
        return status;
    inbox->fd = epoll_create1(EPOLL_CLOEXEC);
    if (inbox->fd < 0)
        return iq_fail(err, IMGQ_E_IO, 0, "open the inbox: no descriptor left");
    status = watch(inbox, inbox->nudge.fd, err);
    if (status == IMGQ_OK)
        status = watch(inbox, iq_conn_poll_fd(inbox->hear), err);
    if (status == IMGQ_OK)
        status = watch(inbox, iq_conn_poll_fd(inbox->ask), err);
    return status;
}

imgq_status iq_inbox_open(imgq_queue *queue, const iq_url *url, const iq_conn_options *options, iq_inbox **out,
                          imgq_error *err)
{
    *out = NULL;
    iq_inbox *inbox = iq_alloc_array(queue->env, 1, sizeof *inbox);
    if (inbox == NULL)
        return iq_fail_nomem(err, sizeof *inbox);
    inbox->queue = queue;
    inbox->env = inbox->follows.env = queue->env;
    inbox->fd = inbox->nudge.fd = -1;
    inbox->poll_ms = IQ_POLL_MIN_MS;
    inbox->planned_ns = INT64_MAX;
    iq_random(&inbox->follows.seed, sizeof inbox->follows.seed);
    imgq_status status = make_condition(&inbox->changed, err);
    if (status != IMGQ_OK) {
        iq_free(queue->env, inbox);
        return status;
    }
    if (pthread_mutex_init(&inbox->lock, NULL) != 0) {
        pthread_cond_destroy(&inbox->changed);
        iq_free(queue->env, inbox);
        return iq_fail_nomem(err, sizeof inbox->lock);
    }
    status = open_connections(inbox, url, options, err);
    if (status != IMGQ_OK)
        iq_inbox_close(inbox);
    else
        *out = inbox;
    return status;
}

void iq_inbox_close(iq_inbox *inbox)
{
    if (inbox == NULL)
        return;
    iq_follows_release(&inbox->follows);
    if (inbox->fd >= 0)
        close(inbox->fd);
    iq_interrupt_close(&inbox->nudge);
    iq_conn_close(inbox->hear);
    iq_conn_close(inbox->ask);
    pthread_cond_destroy(&inbox->changed);
    pthread_mutex_destroy(&inbox->lock);
    iq_free(inbox->env, inbox->posts);
    iq_free(inbox->env, inbox->asked);
    iq_free(inbox->env, inbox);
}

void iq_inbox_get_traffic(iq_inbox *inbox, uint64_t *commands, uint64_t *round_trips)
{
    uint64_t more_commands = 0, more_trips = 0;
    iq_conn_get_traffic(inbox->hear, commands, round_trips);
    iq_conn_get_traffic(inbox->ask, &more_commands, &more_trips);
    *commands += more_commands;
    *round_trips += more_trips;
}

/* ---- ends of jobs: under the lock; whoever gives it up wakes the sleepers ---- */

static void keep_end(iq_inbox *inbox, iq_follow *follow, imgq_result *result)
{
    follow->result = result;
    iq_submission_free(inbox->env, follow->kept);
    follow->kept = NULL;
    iq_follows_move(&inbox->follows, follow, IQ_FOLLOW_READY);
    inbox->poll_ms = IQ_POLL_MIN_MS;
}

/* What cannot be kept now is asked for again, after the usual time. */
static void put_off(iq_inbox *inbox)
{
    inbox->nomem = true;
}

void iq_inbox_end(iq_inbox *inbox, iq_follow *follow, int state, uint16_t error, const void *body, size_t body_len)
{
    imgq_result *result = NULL;
    if (follow->list == IQ_FOLLOW_READY)
        return;
    if (iq_result_of_state(inbox->env, follow->id.text, state, error, body, body_len, &result, NULL) != IMGQ_OK)
        put_off(inbox);
    else
        keep_end(inbox, follow, result);
}

void iq_inbox_end_failed(iq_inbox *inbox, iq_follow *follow, imgq_status status, const char *message)
{
    imgq_result *result = NULL;
    if (follow->list == IQ_FOLLOW_READY)
        return;
    if (iq_result_of_failure(inbox->env, follow->id.text, status, message, &result, NULL) != IMGQ_OK)
        put_off(inbox);
    else
        keep_end(inbox, follow, result);
}

bool iq_inbox_apply(iq_inbox *inbox, iq_follow *follow, const iq_look *look)
{
    if (look->code == IQ_LOOK_DENIED) {
        iq_inbox_end_failed(inbox, follow, IMGQ_E_DENIED, "the job belongs to another owner");
        return true;
    }
    if (!iq_state_is_end(look->state))
        return true;
    switch (look->how) {
    case IQ_BODY_ACKED:
        iq_inbox_end_failed(inbox, follow, IMGQ_E_LOST, "the result was acknowledged by another and is gone");
        return true;
    case IQ_BODY_LARGE:
        return false;
    default:
        iq_inbox_end(inbox, follow, look->state, look->head.error, look->body, look->body_len);
        return true;
    }
}

/* ---- submissions ---- */

/* Whoever drives sleeps for as long as he planned: wake him if there is something to do before. Under the lock. */
static void plan(iq_inbox *inbox)
{
    const int64_t next_ns = iq_inbox_next_ask_ns(inbox);
    if (next_ns < inbox->planned_ns) {
        inbox->planned_ns = next_ns;
        iq_interrupt_set(&inbox->nudge);
    }
}

imgq_status iq_inbox_begin(iq_inbox *inbox, const imgq_id *id, imgq_error *err)
{
    pthread_mutex_lock(&inbox->lock);
    iq_follow *follow = iq_follows_add(&inbox->follows, id);
    if (follow != NULL) {
        inbox->follows.sending += follow->sending == 0;
        follow->sending++;
        follow->forgotten = false;
    }
    pthread_mutex_unlock(&inbox->lock);
    return follow != NULL ? IMGQ_OK : iq_fail_nomem(err, sizeof *follow);
}

static void accept(iq_inbox *inbox, iq_follow *follow, const iq_look *look, iq_submission *kept)
{
    const int64_t now_ns = iq_clock_ns();
    follow->accepted = true;
    if (follow->list == IQ_FOLLOW_READY || follow->forgotten) {
        iq_submission_free(inbox->env, kept);
        return;
    }
    if (kept != NULL) {
        iq_submission_free(inbox->env, follow->kept);
        follow->kept = kept;
    }
    follow->accepted_ns = follow->heard_ns = now_ns;
    iq_follows_move(&inbox->follows, follow, IQ_FOLLOW_YOUNG);
    inbox->poll_ms = IQ_POLL_MIN_MS;
    /* A look without the record's error is not the whole of a failure: ask. */
    if (look != NULL && iq_state_is_end(look->state)) {
        if ((look->state != IMGQ_STATE_SUCCEEDED && look->head.version == 0) || !iq_inbox_apply(inbox, follow, look))
            iq_follows_hurry(&inbox->follows, follow);
    }
    plan(inbox);
}

void iq_inbox_settle(iq_inbox *inbox, const imgq_id *id, iq_outcome outcome, const iq_look *look, iq_submission *kept)
{
    pthread_mutex_lock(&inbox->lock);
    iq_follow *follow = iq_follows_find(&inbox->follows, id->text, strnlen(id->text, sizeof id->text - 1));
    if (follow != NULL) {
        follow->sending--;
        inbox->follows.sending -= follow->sending == 0;
        if (outcome == IQ_OUTCOME_ACCEPTED)
            accept(inbox, follow, look, kept);
        else
            iq_submission_free(inbox->env, kept);
        const bool orphan = outcome == IQ_OUTCOME_REFUSED && !follow->accepted && follow->list == IQ_FOLLOW_NONE;
        if (follow->sending == 0 && (follow->forgotten || orphan))
            iq_follows_remove(&inbox->follows, follow);
        pthread_cond_broadcast(&inbox->changed); /* "none is left" may be true now */
    } else {
        iq_submission_free(inbox->env, kept);
    }
    pthread_mutex_unlock(&inbox->lock);
}

bool iq_inbox_follows(iq_inbox *inbox, const imgq_id *id)
{
    pthread_mutex_lock(&inbox->lock);
    const bool found = iq_follows_find(&inbox->follows, id->text, strnlen(id->text, sizeof id->text - 1)) != NULL;
    pthread_mutex_unlock(&inbox->lock);
    return found;
}

void iq_inbox_forget(iq_inbox *inbox, const imgq_id *id)
{
    pthread_mutex_lock(&inbox->lock);
    iq_follow *follow = iq_follows_find(&inbox->follows, id->text, strnlen(id->text, sizeof id->text - 1));
    if (follow != NULL && follow->sending > 0) {
        follow->forgotten = true;
        iq_follows_move(&inbox->follows, follow, IQ_FOLLOW_NONE);
    } else if (follow != NULL) {
        iq_follows_remove(&inbox->follows, follow);
    }
    pthread_cond_broadcast(&inbox->changed);
    pthread_mutex_unlock(&inbox->lock);
}

void iq_inbox_bind_session(iq_inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    inbox->session = true;
    pthread_mutex_unlock(&inbox->lock);
}

/* ---- hearing ---- */

static void take_note(iq_inbox *inbox, const iq_note *note)
{
    iq_follow *follow = iq_follows_find(&inbox->follows, note->id, note->id_len);
    if (follow == NULL || follow->forgotten || !iq_state_is_end(note->state))
        return;
    if (note->body != NULL)
        iq_inbox_end(inbox, follow, note->state, note->error, note->body, note->body_len);
    else if (follow->list == IQ_FOLLOW_YOUNG || follow->list == IQ_FOLLOW_OLD)
        iq_follows_hurry(&inbox->follows, follow);
}

static void take_message(iq_inbox *inbox, const iq_event *event)
{
    iq_note note;
    size_t at = 0;
    while (iq_note_next(event->body, event->body_len, &at, &note))
        take_note(inbox, &note);
}

static void take_loss(iq_inbox *inbox, const imgq_error *why, int64_t now_ns)
{
    if (inbox->down_ns == 0)
        inbox->down_ns = now_ns;
    inbox->down = *why;
}

static void take_heard(iq_inbox *inbox, const iq_event *event)
{
    const int64_t now_ns = iq_clock_ns();
    if (event->type != IQ_EVENT_LOST)
        inbox->down_ns = 0;
    switch (event->type) {
    case IQ_EVENT_MESSAGE:
        take_message(inbox, event);
        break;
    case IQ_EVENT_SUBSCRIBED:
        /* What was said before is lost: ask for everything that is waited for. */
        inbox->subscription = IQ_SUB_ON;
        inbox->ask_all_ns = now_ns;
        break;
    case IQ_EVENT_REFUSED:
        inbox->subscription = IQ_SUB_REFUSED;
        break;
    case IQ_EVENT_LOST:
        if (inbox->subscription == IQ_SUB_ON)
            inbox->subscription = IQ_SUB_LOST;
        take_loss(inbox, &event->error, now_ns);
        break;
    case IQ_EVENT_REPLY:
        break;
    }
}

/* Not under the lock: the log is the host's. */
static void tell_refusal(iq_inbox *inbox, const iq_event *event)
{
    if (!inbox->told_refusal)
        iq_log(inbox->env, IMGQ_LOG_WARNING, "queue", "queue %s: no notifications, asking instead: %s",
               inbox->queue->name, event->error.message);
    inbox->told_refusal = true;
}

static void hear(iq_inbox *inbox)
{
    iq_event event;
    imgq_status status;
    while ((status = iq_conn_next_event(inbox->hear, &event, NULL)) == IMGQ_OK) {
        pthread_mutex_lock(&inbox->lock);
        take_heard(inbox, &event);
        pthread_mutex_unlock(&inbox->lock);
        if (event.type == IQ_EVENT_REFUSED)
            tell_refusal(inbox, &event);
        iq_event_release(&event);
    }
    if (status == IMGQ_E_NOMEM) {
        pthread_mutex_lock(&inbox->lock);
        put_off(inbox);
        pthread_mutex_unlock(&inbox->lock);
    }
}

/* ---- driving ---- */

static void subscribe_now(iq_inbox *inbox)
{
    const iq_key channel = iq_key_inbox(&inbox->queue->keys, inbox->queue->rid);
    const imgq_status status = iq_conn_subscribe(inbox->hear, channel.text, channel.len, NULL);
    inbox->subscribed = status == IMGQ_OK;
    if (status == IMGQ_E_NOMEM) {
        pthread_mutex_lock(&inbox->lock);
        put_off(inbox);
        pthread_mutex_unlock(&inbox->lock);
    }
}

void iq_inbox_step(iq_inbox *inbox)
{
    iq_interrupt_clear(&inbox->nudge);
    pthread_mutex_lock(&inbox->lock);
    const bool wanted = inbox->subscription == IQ_SUB_WAITING;
    pthread_mutex_unlock(&inbox->lock);
    if (wanted && !inbox->subscribed)
        subscribe_now(inbox);
    if (inbox->subscribed)
        hear(inbox);
    if (inbox->asking)
        iq_inbox_take_answers(inbox);
    iq_inbox_ask_due(inbox);
}

static iq_deadline in_ms(int timeout_ms)
{
    return timeout_ms < 0 ? iq_deadline_never() : iq_deadline_after_ms(timeout_ms);
}

iq_deadline iq_inbox_wake_at(iq_inbox *inbox)
{
    iq_deadline wake = {.at_ns = inbox->post_count > 0 ? INT64_MAX : iq_inbox_next_ask_ns(inbox)};
    if (inbox->subscribed)
        wake = iq_deadline_min(wake, in_ms(iq_conn_timeout_ms(inbox->hear)));
    else if (inbox->subscription == IQ_SUB_WAITING)
        wake.at_ns = 0;
    if (inbox->asking)
        wake = iq_deadline_min(wake, in_ms(iq_conn_timeout_ms(inbox->ask)));
    return wake;
}

static void drive(iq_inbox *inbox, iq_deadline deadline)
{
    struct pollfd wake[2] = {{.fd = inbox->fd, .events = POLLIN}, {.fd = inbox->queue->interrupt.fd, .events = POLLIN}};
    pthread_mutex_lock(&inbox->lock);
    const iq_deadline until = iq_deadline_min(deadline, iq_inbox_wake_at(inbox));
    inbox->planned_ns = until.at_ns;
    pthread_mutex_unlock(&inbox->lock);
    (void)poll(wake, 2, iq_deadline_poll_ms(until)); /* a signal only makes the caller look again */
    iq_inbox_step(inbox);
}

/* pthread_cond_timedwait() takes the clock that the condition was made with. */
static void sleep_until(iq_inbox *inbox, iq_deadline deadline)
{
    if (deadline.at_ns == INT64_MAX) {
        pthread_cond_wait(&inbox->changed, &inbox->lock);
        return;
    }
    const struct timespec at = {.tv_sec = (time_t)(deadline.at_ns / 1000000000),
                                .tv_nsec = (long)(deadline.at_ns % 1000000000)};
    (void)pthread_cond_timedwait(&inbox->changed, &inbox->lock, &at);
}

void iq_inbox_wait(iq_inbox *inbox, iq_deadline deadline)
{
    if (inbox->driving) {
        sleep_until(inbox, deadline);
        return;
    }
    inbox->driving = true;
    pthread_mutex_unlock(&inbox->lock);
    drive(inbox, deadline);
    pthread_mutex_lock(&inbox->lock);
    inbox->driving = false;
    /* Somebody else has to drive now, should this one be content. */
    pthread_cond_broadcast(&inbox->changed);
}

static imgq_status fail_unsubscribed(iq_inbox *inbox, imgq_error *err)
{
    if (inbox->down_ns == 0)
        return iq_fail(err, IMGQ_E_UNAVAILABLE, 0, "subscribe to the answers of queue %s: no answer in time",
                       inbox->queue->name);
    if (err != NULL)
        *err = inbox->down;
    return inbox->down.status == IMGQ_E_DENIED ? IMGQ_E_DENIED : IMGQ_E_UNAVAILABLE;
}

imgq_status iq_inbox_subscribe(iq_inbox *inbox, iq_deadline deadline, imgq_error *err)
{
    imgq_status status = IMGQ_OK;
    pthread_mutex_lock(&inbox->lock);
    if (inbox->subscription == IQ_SUB_OFF)
        inbox->subscription = inbox->queue->options.no_notify ? IQ_SUB_REFUSED : IQ_SUB_WAITING;
    while (inbox->subscription == IQ_SUB_WAITING) {
        if (iq_interrupt_is_set(&inbox->queue->interrupt))
            status = iq_fail(err, IMGQ_E_CANCELLED, 0, "interrupted");
        else if (inbox->nomem)
            status = iq_fail_nomem(err, 1);
        else if (iq_deadline_passed(deadline))
            status = fail_unsubscribed(inbox, err);
        if (status != IMGQ_OK)
            break;
        iq_inbox_wait(inbox, deadline);
    }
    inbox->nomem = false;
    pthread_mutex_unlock(&inbox->lock);
    return status;
}
