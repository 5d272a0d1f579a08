/* The backup of notifications: asking for the state of what is followed, in pages, without blocking. */
#include <imgq/admin.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/log.h"
#include "queue/inbox.h"
#include "queue/scripts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ASK_MAX = IQ_ASK_PAGE * IQ_ASK_PAGES, SESSION_MS = 60000 };

static int64_t ms(int64_t value)
{
    return value * 1000000;
}

/* ---- when ---- */

static int64_t due_of(const iq_follow *follow, int64_t every_ms)
{
    return follow == NULL ? INT64_MAX : follow->heard_ns + ms(every_ms);
}

static bool is_urgent(const iq_inbox *inbox, const iq_follow *follow)
{
    return follow != NULL && follow->heard_ns <= inbox->ask_all_ns;
}

int64_t iq_inbox_next_ask_ns(const iq_inbox *inbox)
{
    const iq_follow *young = inbox->follows.first[IQ_FOLLOW_YOUNG], *old = inbox->follows.first[IQ_FOLLOW_OLD];
    if (inbox->follows.asked == 0)
        return INT64_MAX;
    if (is_urgent(inbox, young) || is_urgent(inbox, old))
        return 0;
    if (inbox->subscription == IQ_SUB_REFUSED)
        return inbox->last_ask_ns + ms(inbox->poll_ms);
    const int64_t young_ns = due_of(young, IQ_ASK_EVERY_MS), old_ns = due_of(old, IQ_ASK_OLD_EVERY_MS);
    const int64_t due_ns = young_ns < old_ns ? young_ns : old_ns;
    const int64_t round_ns = inbox->last_ask_ns + ms(IQ_ASK_EVERY_MS);
    return due_ns > round_ns ? due_ns : round_ns;
}

/* ---- what ---- */

/* Room for `more` entries behind those in use, which move to the front. @return the array, NULL when memory ran out */
static void *make_room(iq_inbox *inbox, void *array, size_t *first, size_t count, size_t *cap, size_t more, size_t size)
{
    if (array != NULL && *first + count + more <= *cap)
        return array;
    if (count > 0)
        memmove(array, (char *)array + *first * size, count * size);
    *first = 0;
    if (array != NULL && count + more <= *cap)
        return array;
    void *grown = iq_realloc(inbox->env, array, (count + more) * size);
    if (grown != NULL)
        *cap = count + more;
    return grown;
}

static bool reserve(iq_inbox *inbox, size_t ids, size_t posts)
{
    imgq_id *asked =
        make_room(inbox, inbox->asked, &inbox->asked_first, inbox->asked_count, &inbox->asked_cap, ids, sizeof *asked);
    if (asked == NULL)
        return false;
    inbox->asked = asked;
    iq_post *due =
        make_room(inbox, inbox->posts, &inbox->post_first, inbox->post_count, &inbox->post_cap, posts, sizeof *due);
    if (due == NULL)
        return false;
    inbox->posts = due;
    return true;
}

static imgq_id *asked_at(const iq_inbox *inbox, size_t index)
{
    return &inbox->asked[inbox->asked_first + index];
}

static void add_post(iq_inbox *inbox, iq_post_kind kind, size_t count)
{
    inbox->posts[inbox->post_first + inbox->post_count++] =
        (iq_post){.kind = kind, .count = count, .sent_ns = iq_clock_ns()};
}

/* The next one to ask for, or NULL. Polling asks for everybody in each round, else each has its own time. */
static iq_follow *next_due(const iq_inbox *inbox, int64_t now_ns, bool polling)
{
    iq_follow *young = inbox->follows.first[IQ_FOLLOW_YOUNG], *old = inbox->follows.first[IQ_FOLLOW_OLD];
    if (is_urgent(inbox, young))
        return young;
    if (is_urgent(inbox, old))
        return old;
    if (young != NULL && (polling ? young->heard_ns < now_ns : due_of(young, IQ_ASK_EVERY_MS) <= now_ns))
        return young;
    if (old != NULL && (polling ? old->heard_ns < now_ns : due_of(old, IQ_ASK_OLD_EVERY_MS) <= now_ns))
        return old;
    return NULL;
}

/* Under the lock. @return how many ids were put behind inbox.asked */
static size_t collect(iq_inbox *inbox, int64_t now_ns)
{
    const bool round = inbox->subscription == IQ_SUB_REFUSED && now_ns >= inbox->last_ask_ns + ms(inbox->poll_ms);
    size_t count = 0;
    iq_follow *follow;
    while (count < ASK_MAX && (follow = next_due(inbox, now_ns, round)) != NULL) {
        const bool is_old = now_ns - follow->accepted_ns > ms(IQ_FOLLOW_OLD_MS);
        *asked_at(inbox, inbox->asked_count + count++) = follow->id;
        follow->heard_ns = now_ns;
        iq_follows_move(&inbox->follows, follow, is_old ? IQ_FOLLOW_OLD : IQ_FOLLOW_YOUNG);
    }
    if (round) {
        const uint32_t longer = inbox->poll_ms + inbox->poll_ms / 2;
        inbox->poll_ms = longer < IQ_POLL_MAX_MS ? longer : IQ_POLL_MAX_MS;
    }
    return count;
}

static void add_session(iq_inbox *inbox, iq_commands *commands)
{
    const imgq_queue *queue = inbox->queue;
    const iq_key key = iq_key_session(&queue->keys, queue->rid);
    iq_commands_add(commands, "SET");
    iq_commands_copy(commands, key.text, key.len);
    iq_commands_bytes(commands, queue->owner, queue->owner_len);
    iq_commands_text(commands, "PX");
    iq_commands_int(commands, SESSION_MS);
    add_post(inbox, IQ_POST_OTHER, 0);
    /* SET is refused at maxmemory, this is not. */
    iq_commands_add(commands, "PEXPIRE");
    iq_commands_copy(commands, key.text, key.len);
    iq_commands_int(commands, SESSION_MS);
    add_post(inbox, IQ_POST_OTHER, 0);
}

static void add_pages(iq_inbox *inbox, iq_commands *commands, size_t count)
{
    for (size_t done = 0; done < count;) {
        const size_t page = count - done < IQ_ASK_PAGE ? count - done : IQ_ASK_PAGE;
        iq_queue_add_script(inbox->queue, commands, &iq_lua_status);
        iq_queue_add_owner(inbox->queue, commands);
        for (size_t i = 0; i < page; i++)
            iq_commands_text(commands, asked_at(inbox, inbox->asked_count + i)->text);
        inbox->asked_count += page;
        add_post(inbox, IQ_POST_STATUS, page);
        done += page;
    }
}

/* A pipeline that could not be posted will not be answered either. */
static void post(iq_inbox *inbox, const iq_commands *commands, bool as_eval, size_t posts_before, size_t asked_before)
{
    inbox->asking = true;
    if (commands->count == 0 || iq_conn_post(inbox->ask, commands, as_eval, NULL) == IMGQ_OK)
        return;
    inbox->post_count = posts_before;
    inbox->asked_count = asked_before;
    pthread_mutex_lock(&inbox->lock);
    inbox->nomem = true;
    pthread_mutex_unlock(&inbox->lock);
}

static void ask(iq_inbox *inbox)
{
    iq_commands commands;
    const size_t posts_before = inbox->post_count, asked_before = inbox->asked_count;
    const int64_t now_ns = iq_clock_ns();
    pthread_mutex_lock(&inbox->lock);
    const bool reserved = reserve(inbox, ASK_MAX, IQ_ASK_PAGES + 2);
    const size_t count = reserved ? collect(inbox, now_ns) : 0;
    const bool session = inbox->session;
    inbox->last_ask_ns = now_ns;
    inbox->nomem = inbox->nomem || !reserved;
    pthread_mutex_unlock(&inbox->lock);
    if (count == 0)
        return;
    iq_commands_init(&commands, inbox->env);
    if (session)
        add_session(inbox, &commands);
    add_pages(inbox, &commands, count);
    post(inbox, &commands, inbox->status_as_eval, posts_before, asked_before);
    iq_commands_release(&commands);
}

/* ---- answers ---- */

static iq_follow *find(const iq_inbox *inbox, const imgq_id *id)
{
    return iq_follows_find(&inbox->follows, id->text, strlen(id->text));
}

static void fetch(iq_inbox *inbox, const imgq_id *id)
{
    iq_commands commands;
    const iq_key key = iq_key_job(&inbox->queue->keys, id->text);
    const size_t posts_before = inbox->post_count, asked_before = inbox->asked_count;
    if (!reserve(inbox, 1, 1))
        return;
    *asked_at(inbox, inbox->asked_count++) = *id;
    add_post(inbox, IQ_POST_RECORD, 1);
    iq_commands_init(&commands, inbox->env);
    iq_commands_add(&commands, "GET");
    iq_commands_bytes(&commands, key.text, key.len);
    post(inbox, &commands, false, posts_before, asked_before);
    iq_commands_release(&commands);
}

/* A failover lost what the server had acknowledged: the same job again. Under the lock, because the copy may go with
 * the follow; nothing here waits. */
static void resubmit(iq_inbox *inbox, const iq_follow *follow)
{
    iq_commands commands;
    if (!reserve(inbox, 1, 2))
        return;
    iq_commands_init(&commands, inbox->env);
    iq_submissions_add(inbox->queue, &commands, follow->kept, 1);
    const size_t posts_before = inbox->post_count, asked_before = inbox->asked_count;
    if (commands.count > 1)
        add_post(inbox, IQ_POST_OTHER, 0);
    *asked_at(inbox, inbox->asked_count++) = follow->id;
    add_post(inbox, IQ_POST_RESUBMIT, 1);
    if (iq_conn_post(inbox->ask, &commands, inbox->submit_as_eval, NULL) != IMGQ_OK) {
        inbox->post_count = posts_before;
        inbox->asked_count = asked_before;
        inbox->nomem = true;
    }
    iq_commands_release(&commands);
}

static void take_unknown(iq_inbox *inbox, iq_follow *follow, int64_t sent_ns)
{
    /* Asked before it was accepted (again): the answer is about what was before. */
    if (follow->accepted_ns >= sent_ns)
        return;
    if (follow->kept != NULL)
        resubmit(inbox, follow);
    else
        iq_inbox_end_failed(inbox, follow, IMGQ_E_LOST, "the job or its result is gone from Redis");
}

/* @return true if the record has to be fetched */
static bool take_look(iq_inbox *inbox, const imgq_id *id, const iq_reply *reply, int64_t sent_ns)
{
    iq_look look;
    iq_follow *follow = find(inbox, id);
    if (follow == NULL || (follow->list != IQ_FOLLOW_YOUNG && follow->list != IQ_FOLLOW_OLD))
        return false;
    if (!iq_look_read(&look, reply)) {
        iq_inbox_end_failed(inbox, follow, IMGQ_E_CORRUPT, "the job's record in Redis is not readable");
        return false;
    }
    if (look.code == IQ_LOOK_UNKNOWN) {
        take_unknown(inbox, follow, sent_ns);
        return false;
    }
    return !iq_inbox_apply(inbox, follow, &look);
}

static void take_page(iq_inbox *inbox, const iq_post *answered, const imgq_id *ids, const iq_reply *reply)
{
    for (size_t i = 0; i < answered->count; i++) {
        pthread_mutex_lock(&inbox->lock);
        const bool large = take_look(inbox, &ids[i], iq_reply_at(reply, i), answered->sent_ns);
        pthread_mutex_unlock(&inbox->lock);
        if (large)
            fetch(inbox, &ids[i]);
    }
}

static void take_record(iq_inbox *inbox, const imgq_id *id, const iq_reply *reply)
{
    iq_record_view view;
    imgq_error why = {0};
    pthread_mutex_lock(&inbox->lock);
    iq_follow *follow = find(inbox, id);
    if (follow != NULL && reply->type == IQ_REPLY_TEXT) {
        if (iq_record_decode(&view, reply->text, reply->len, &why) != IMGQ_OK)
            iq_inbox_end_failed(inbox, follow, why.status, why.message);
        else if (iq_state_is_end(view.head.state))
            iq_inbox_end(inbox, follow, view.head.state, view.head.error, view.body, view.body_len);
    }
    pthread_mutex_unlock(&inbox->lock);
}

static void take_resubmitted(iq_inbox *inbox, const imgq_id *id, const iq_reply *reply)
{
    int64_t code;
    if (!iq_reply_int(iq_reply_at(iq_reply_at(reply, 3), 0), &code))
        return;
    pthread_mutex_lock(&inbox->lock);
    iq_follow *follow = find(inbox, id);
    if (follow != NULL && (code == IQ_SUBMIT_CONFLICT || code == IQ_SUBMIT_BADARG))
        iq_inbox_end_failed(inbox, follow, IMGQ_E_LOST, "the job is gone from Redis and could not be submitted again");
    pthread_mutex_unlock(&inbox->lock);
    if (code == IQ_SUBMIT_NEW)
        iq_log(inbox->env, IMGQ_LOG_WARNING, "queue", "job %s was lost by Redis and submitted again", id->text);
}

/* An emptied server has no version: say it, and the next round asks again. */
static void repair_version(iq_inbox *inbox)
{
    iq_commands commands;
    const imgq_queue *queue = inbox->queue;
    const size_t posts_before = inbox->post_count, asked_before = inbox->asked_count;
    if (!reserve(inbox, 0, 1))
        return;
    iq_commands_init(&commands, inbox->env);
    iq_commands_add(&commands, "HSETNX");
    iq_commands_bytes(&commands, queue->meta.text, queue->meta.len);
    iq_commands_text(&commands, "ver");
    iq_commands_text(&commands, "1");
    add_post(inbox, IQ_POST_OTHER, 0);
    post(inbox, &commands, false, posts_before, asked_before);
    iq_commands_release(&commands);
}

static void take_refused(iq_inbox *inbox, iq_post_kind kind, const iq_reply *reply)
{
    imgq_error why;
    if (iq_reply_is_error(reply, "NOSCRIPT")) {
        inbox->status_as_eval = inbox->status_as_eval || kind == IQ_POST_STATUS;
        inbox->submit_as_eval = inbox->submit_as_eval || kind == IQ_POST_RESUBMIT;
        pthread_mutex_lock(&inbox->lock);
        inbox->ask_all_ns = iq_clock_ns();
        pthread_mutex_unlock(&inbox->lock);
        return;
    }
    if (iq_reply_is_error(reply, "IQVER"))
        repair_version(inbox);
    (void)iq_queue_reply_check(reply, "ask for jobs", &why);
    iq_log(inbox->env, IMGQ_LOG_DEBUG, "queue", "%s", why.message);
}

static void take_answer(iq_inbox *inbox, const iq_reply *reply)
{
    imgq_id ids[IQ_ASK_PAGE];
    if (inbox->post_count == 0)
        return;
    const iq_post answered = inbox->posts[inbox->post_first++];
    inbox->post_count--;
    if (answered.count > 0)
        memcpy(ids, asked_at(inbox, 0), answered.count * sizeof *ids);
    inbox->asked_first += answered.count;
    inbox->asked_count -= answered.count;
    if (answered.kind == IQ_POST_OTHER)
        return;
    if (reply->type == IQ_REPLY_ERROR) {
        take_refused(inbox, answered.kind, reply);
        return;
    }
    switch (answered.kind) {
    case IQ_POST_STATUS:
        inbox->status_as_eval = false;
        take_page(inbox, &answered, ids, reply);
        break;
    case IQ_POST_RECORD:
        take_record(inbox, &ids[0], reply);
        break;
    case IQ_POST_RESUBMIT:
        inbox->submit_as_eval = false;
        take_resubmitted(inbox, &ids[0], reply);
        break;
    case IQ_POST_OTHER:
        break;
    }
}

void iq_inbox_take_answers(iq_inbox *inbox)
{
    iq_event event;
    imgq_status status;
    while ((status = iq_conn_next_event(inbox->ask, &event, NULL)) == IMGQ_OK) {
        if (event.type == IQ_EVENT_REPLY && event.holder != NULL) {
            pthread_mutex_lock(&inbox->lock);
            inbox->down_ns = 0;
            pthread_mutex_unlock(&inbox->lock);
            take_answer(inbox, event.holder);
        } else if (event.type == IQ_EVENT_LOST) {
            const int64_t now_ns = iq_clock_ns();
            pthread_mutex_lock(&inbox->lock);
            inbox->down_ns = inbox->down_ns == 0 ? now_ns : inbox->down_ns;
            inbox->down = event.error;
            if (inbox->post_count > 0)
                inbox->ask_all_ns = now_ns;
            pthread_mutex_unlock(&inbox->lock);
            inbox->post_count = inbox->asked_count = 0;
        }
        iq_event_release(&event);
    }
    if (status == IMGQ_E_NOMEM) {
        pthread_mutex_lock(&inbox->lock);
        inbox->nomem = true;
        pthread_mutex_unlock(&inbox->lock);
    }
}

void iq_inbox_ask_due(iq_inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    const bool due = iq_inbox_next_ask_ns(inbox) <= iq_clock_ns();
    pthread_mutex_unlock(&inbox->lock);
    if (!due || inbox->post_count > 0) /* with answers due, the next questions come after them */
        return;
    ask(inbox);
    if (inbox->asking)
        iq_inbox_take_answers(inbox); /* sends what was posted, as far as that goes */
}
