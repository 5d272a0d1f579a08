/* Waiting for wake tokens: BLPOP on the queue's token list, and for an imported list also a BLMOVE that shifts the next
 * item one step closer. Both are posted and answered as events, each on a connection of its own. */
#include "queue/job.h"

#include "base/alloc.h"
#include "base/fail.h"

#include <stdio.h>

enum {
    IMPORT_BLOCK_MS = 15000, /* BLMOVE costs nothing while it waits, and every end of it is a visit */
    REFUSED_RETRY_MS = 2000, /* an error reply, such as BLMOVE's at maxmemory */
    LOST_RETRY_MS = 200,     /* the connection has a back-off of its own beside it */
    NS_PER_MS = 1000000
};

typedef struct waker_line {
    iq_conn *conn;      /* out of the handle's pool while the waker lives */
    bool waits;         /* a blocking command is on its way or at the server */
    unsigned passed_on; /* answers of RPUSH that come before the blocking command's */
    int64_t retry_ns;   /* nothing is posted before this */
} waker_line;

struct iq_waker {
    imgq_queue *queue;
    bool wanted;   /* armed, and nothing seen yet */
    bool disarmed; /* tokens are for others */
    uint32_t block_ms;
    iq_wake seen;
    size_t count;
    waker_line lines[IQ_WAKER_FDS];
};

imgq_status iq_waker_open(imgq_queue *queue, iq_waker **out, imgq_error *err)
{
    const size_t count = queue->import_list != NULL ? 2 : 1;
    iq_waker *waker = iq_alloc_array(queue->env, 1, sizeof *waker);
    if (waker == NULL)
        return iq_fail_nomem(err, sizeof *waker);
    waker->queue = queue;
    imgq_status status = IMGQ_OK;
    while (status == IMGQ_OK && waker->count < count) {
        iq_conn *conn = NULL;
        status = iq_conn_pool_take(queue->lines[IQ_LINE_BLOCKING], iq_queue_deadline(queue), &conn, err);
        if (status != IMGQ_OK)
            break;
        waker->lines[waker->count++].conn = conn;
        if (iq_conn_poll_fd(conn) < 0)
            status = iq_fail(err, IMGQ_E_IO, 0, "wait for queue %s: no descriptor left", imgq_queue_name(queue));
    }
    if (status != IMGQ_OK) {
        iq_waker_close(waker);
        return status;
    }
    *out = waker;
    return IMGQ_OK;
}

void iq_waker_close(iq_waker *waker)
{
    if (waker == NULL)
        return;
    imgq_queue *queue = waker->queue;
    for (size_t i = 0; i < waker->count; i++) {
        /* A wait that is under way would swallow a token that nobody hears. */
        iq_conn_drop(waker->lines[i].conn);
        iq_conn_pool_give(queue->lines[IQ_LINE_BLOCKING], waker->lines[i].conn);
    }
    iq_free(queue->env, waker);
}

static void rest(waker_line *line, int64_t ms)
{
    line->retry_ns = iq_clock_ns() + ms * NS_PER_MS;
}

static bool post(waker_line *line, iq_commands *commands)
{
    const bool posted = iq_conn_post(line->conn, commands, false, NULL) == IMGQ_OK;
    iq_commands_release(commands);
    if (!posted)
        rest(line, REFUSED_RETRY_MS);
    return posted;
}

/* How the blocking commands spell their time: seconds with a point, in any locale. */
static void add_seconds(iq_commands *commands, uint32_t ms)
{
    char text[24];
    const int len = snprintf(text, sizeof text, "%u.%03u", ms / 1000, ms % 1000);
    iq_commands_copy(commands, text, (size_t)len);
}

static void begin_wait(iq_waker *waker, size_t index)
{
    imgq_queue *queue = waker->queue;
    waker_line *line = &waker->lines[index];
    if (line->waits || iq_clock_ns() < line->retry_ns)
        return;
    iq_commands commands;
    iq_commands_init(&commands, queue->env);
    if (index == 0) {
        const iq_key wake = iq_key_wake(&queue->keys);
        iq_commands_add(&commands, "BLPOP");
        iq_commands_copy(&commands, wake.text, wake.len);
        add_seconds(&commands, waker->block_ms);
    } else {
        const iq_key in = iq_key_import(&queue->keys);
        iq_commands_add(&commands, "BLMOVE");
        iq_commands_text(&commands, queue->import_list);
        iq_commands_copy(&commands, in.text, in.len);
        iq_commands_text(&commands, "LEFT");
        iq_commands_text(&commands, "RIGHT");
        add_seconds(&commands, IMPORT_BLOCK_MS);
    }
    line->waits = post(line, &commands);
}

/* The one who hears a token and cannot take hands it on; if the server is too full for that, the others' own visits are
 * the bound. */
static void pass_on(const iq_waker *waker, waker_line *line)
{
    const iq_key wake = iq_key_wake(&waker->queue->keys);
    iq_commands commands;
    iq_commands_init(&commands, waker->queue->env);
    iq_commands_add(&commands, "RPUSH");
    iq_commands_copy(&commands, wake.text, wake.len);
    iq_commands_text(&commands, "1");
    /* On the line whose wait has just ended, so that its answer comes before that of the line's next wait. */
    if (post(line, &commands))
        line->passed_on++;
}

void iq_waker_arm(iq_waker *waker, uint32_t block_ms)
{
    waker->wanted = true;
    waker->disarmed = false;
    waker->block_ms = block_ms;
    for (size_t i = 0; i < waker->count; i++)
        begin_wait(waker, i);
}

void iq_waker_disarm(iq_waker *waker)
{
    waker->wanted = false;
    waker->disarmed = true;
}

static void see(iq_waker *waker, iq_wake what)
{
    if (what > waker->seen)
        waker->seen = what;
}

static void hear_reply(iq_waker *waker, waker_line *line, const iq_reply *reply)
{
    if (line->passed_on > 0) {
        line->passed_on--;
        return;
    }
    line->waits = false;
    if (reply->type == IQ_REPLY_ERROR)
        rest(line, REFUSED_RETRY_MS);
    const bool token = reply->type == IQ_REPLY_ARRAY || reply->type == IQ_REPLY_TEXT;
    if (!waker->disarmed)
        see(waker, token ? IQ_WAKE_TOKEN : IQ_WAKE_TIME);
    else if (token)
        pass_on(waker, line);
}

iq_wake iq_waker_take(iq_waker *waker)
{
    for (size_t i = 0; i < waker->count; i++) {
        waker_line *line = &waker->lines[i];
        iq_event event = {0};
        while (iq_conn_next_event(line->conn, &event, NULL) == IMGQ_OK) {
            if (event.type == IQ_EVENT_REPLY && event.holder != NULL)
                hear_reply(waker, line, event.holder);
            if (event.type == IQ_EVENT_LOST) {
                line->waits = false;
                line->passed_on = 0;
                rest(line, LOST_RETRY_MS);
                if (!waker->disarmed)
                    see(waker, IQ_WAKE_TIME);
            }
            iq_event_release(&event);
        }
        if (waker->wanted)
            begin_wait(waker, i);
    }
    const iq_wake seen = waker->seen;
    waker->seen = IQ_WAKE_NONE;
    if (seen != IQ_WAKE_NONE)
        waker->wanted = false;
    return seen;
}

size_t iq_waker_fds(iq_waker *waker, int fds[IQ_WAKER_FDS])
{
    for (size_t i = 0; i < waker->count; i++)
        fds[i] = iq_conn_poll_fd(waker->lines[i].conn);
    return waker->count;
}

int iq_waker_timeout_ms(iq_waker *waker)
{
    int soonest = -1;
    for (size_t i = 0; i < waker->count; i++) {
        const waker_line *line = &waker->lines[i];
        int ms = iq_conn_timeout_ms(line->conn);
        if (waker->wanted && !line->waits) {
            const int again = iq_deadline_poll_ms((iq_deadline){line->retry_ns});
            ms = ms < 0 || again < ms ? again : ms;
        }
        if (ms >= 0 && (soonest < 0 || ms < soonest))
            soonest = ms;
    }
    return soonest;
}
