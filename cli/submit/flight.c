/* Many files through a window: submit, await, cancel what runs out of time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/signals.h"
#include "cli/common/workers.h"
#include "cli/submit/order.h"

/* One round trip of imgq_queue_submit_many(), and memory for one batch's files. */
enum { BATCH_MAX = 128, BATCH_BYTES = 8 << 20 };
enum { NOT_SAID = 1 }; /* no status: the call failed before it came to this job */
enum { TICK_MS = 1000, STANDALONE_TICK_MS = 200, NOBODY_AFTER_MS = 1000, BUSY_RETRY_MS = 500, AWAY_NAP_MS = 100 };

typedef struct flight {
    order order;
    submit_run *run;
    size_t window;
    int64_t began_ms; /* first submit; 0: none yet */
    bool has_answer;  /* any at all: then somebody lives */
    bool said_nobody, said_away;
    bool is_away;     /* Redis did not answer when it was asked last: nobody's time-out waits for it once more */
    imgq_error away;  /* why */
    char nobody[160]; /* "no live worker on queue X (...)", for messages of time-outs; "" if somebody lives */
    char busy[160];   /* "queue X is full", or paused, or out of memory: as the queue said it last */
} flight;

typedef struct batch {
    slot *slots[BATCH_MAX];
    imgq_payload payloads[BATCH_MAX];
    imgq_id ids[BATCH_MAX];
    imgq_status each[BATCH_MAX];
    size_t count, bytes;
} batch;

/* ---- handing over ---- */

static void batch_add(batch *b, slot *s)
{
    b->slots[b->count] = s;
    b->payloads[b->count] = (imgq_payload){.bytes = s->payload.data, .len = s->payload.len};
    b->ids[b->count] = s->id;
    b->bytes += s->payload.len;
    b->count++;
}

/* Slots that were refused before and whose time has come. Those that may have been accepted must go under the same id,
 * so they make a batch of their own. */
static void gather_retries(flight *f, batch *b, bool same_id)
{
    const int64_t now = submit_now_ms();
    order *o = &f->order;
    if (o->ready == 0)
        return;
    for (size_t file = o->printed; file < o->next && b->count < BATCH_MAX && b->bytes < BATCH_BYTES; file++) {
        slot *s = order_at(o, file);
        if (s->state == SLOT_READY && s->first_ms > 0 && s->again_ms <= now && s->has_id == same_id)
            batch_add(b, s);
    }
}

static void gather_fresh(flight *f, batch *b)
{
    order *o = &f->order;
    imgq_error err;
    while (b->count < BATCH_MAX && b->bytes < BATCH_BYTES && o->flying + o->ready < f->window && order_has_room(o) &&
           cli_signals_caught() == 0) {
        slot *s = order_open(o);
        const imgq_status status = cli_payload_make(f->run->env, &f->run->how, s->name, &s->payload, &err);
        if (status != IMGQ_OK)
            order_fail(o, s, status, CLI_EXIT_REFUSED, err.message);
        else
            batch_add(b, s);
    }
}

/* "submit job ID: queue X is full, again in 990 ms" without what changes from one refusal to the next. */
static void keep_reason(flight *f, const imgq_error *err)
{
    const char *reason = err->status == IMGQ_E_BUSY ? strstr(err->message, ": queue ") : NULL;
    if (reason == NULL)
        return;
    snprintf(f->busy, sizeof f->busy, "%s", reason + 2);
    char *again = strstr(f->busy, ", again in ");
    if (again != NULL)
        *again = '\0';
}

static void settle(flight *f, slot *s, const imgq_id *id, imgq_status status, const imgq_error *err, int64_t now)
{
    const uint32_t retry_ms = err->retry_after_ms > 0 ? err->retry_after_ms : BUSY_RETRY_MS;
    s->status = status;
    if (status == IMGQ_OK) {
        s->id = *id;
        free(s->payload.data); /* Redis has it now: a window of photos need not fit into our memory */
        s->payload = (cli_bytes){0};
        order_fly(&f->order, s);
        if (f->run->set->no_wait)
            order_finish(&f->order, s, NULL);
    } else if (status == IMGQ_E_BUSY) {
        keep_reason(f, err);
        order_retry(&f->order, s, now + retry_ms);
    } else if (status == IMGQ_E_UNAVAILABLE || status == IMGQ_E_TIMEOUT) {
        s->id = *id; /* it may have been accepted: the same id again is the same job */
        s->has_id = id->text[0] != '\0';
        order_retry(&f->order, s, now + BUSY_RETRY_MS);
    } else if (status == IMGQ_E_CANCELLED) {
        order_retry(&f->order, s, now); /* interrupted: the cleanup decides */
        s->id = *id;
        s->has_id = id->text[0] != '\0';
    } else {
        order_fail(&f->order, s, status, cli_outcome_code_of(status),
                   status == err->status ? err->message : imgq_status_name(status));
    }
}

static void submit_options_of(const submit_run *run, imgq_submit_options *options)
{
    const submit_settings *set = run->set;
    *options = IMGQ_SUBMIT_OPTIONS_INIT;
    options->profile = set->profile;
    cli_payload_describe(&run->how, options);
    if (set->payload == CLI_PAYLOAD_ENCODED) {
        /* Only said where it was asked for, so that a worker's own setting counts otherwise. */
        if (cli_args_origin(run->args, "exif") != CLI_FROM_DEFAULT)
            options->exif = set->exif == EXIF_APPLY ? IMGQ_EXIF_APPLY : IMGQ_EXIF_IGNORE;
        options->use_background = set->background.is_set;
        memcpy(options->background, set->background.rgb, sizeof options->background);
    }
    options->priority_plus_1 = (uint32_t)set->priority + 1;
    options->top_count = (uint32_t)set->top;
    options->max_fails = (uint32_t)set->attempts;
    options->delay_ms = set->delay_ms;
    options->deadline_ms = set->deadline_ms;
    /* Killed by SIGKILL we cannot cancel: then Redis does, a minute later. */
    options->session_bound = !set->no_wait && set->id == NULL;
}

static void hand_over(flight *f, batch *b, bool same_id)
{
    submit_run *run = f->run;
    imgq_submit_options options;
    imgq_error err = {0};
    imgq_id given;
    submit_options_of(run, &options);
    if (run->set->id != NULL) {
        snprintf(given.text, sizeof given.text, "%s", run->set->id);
        options.id = &given;
    } else if (same_id) {
        options.id = b->ids;
    }
    const int64_t before = submit_now_ms();
    if (f->began_ms == 0)
        f->began_ms = before;
    for (size_t i = 0; i < b->count; i++) {
        b->each[i] = NOT_SAID;
        if (b->slots[i]->first_ms == 0)
            b->slots[i]->first_ms = before;
    }
    imgq_id ids[BATCH_MAX] = {0};
    const imgq_status status = imgq_queue_submit_many(run->queue, b->payloads, b->count, &options, ids, b->each, &err);
    const int64_t now = submit_now_ms();
    for (size_t i = 0; i < b->count; i++)
        settle(f, b->slots[i], &ids[i], b->each[i] == NOT_SAID ? status : b->each[i], &err, now);
    if (status == IMGQ_E_UNAVAILABLE && !f->said_away) {
        f->said_away = true;
        submit_note(run, "%s: trying again", err.message);
    }
}

/* @return true if there may be more to hand over at once */
static bool fill(flight *f)
{
    batch b = {0};
    gather_retries(f, &b, true);
    if (b.count > 0) {
        hand_over(f, &b, true);
        return true;
    }
    gather_retries(f, &b, false);
    if (f->order.ready == b.count) /* nothing waits to be asked again: a full queue gets no more to refuse */
        gather_fresh(f, &b);
    if (b.count == 0)
        return false;
    hand_over(f, &b, false);
    return f->order.ready == 0 && f->order.flying < f->window && order_has_room(&f->order);
}

/* ---- answers ---- */

static int64_t earliest_retry(flight *f)
{
    int64_t first = INT64_MAX;
    order *o = &f->order;
    for (size_t file = o->printed; file < o->next && o->ready > 0; file++) {
        const slot *s = order_at(o, file);
        if (s->state == SLOT_READY && s->again_ms < first)
            first = s->again_ms;
    }
    return first;
}

/* How long nothing needs to be done but waiting for an answer. */
static int64_t wait_ms(flight *f)
{
    const int64_t now = submit_now_ms();
    const int64_t retry = earliest_retry(f), deadline = order_next_deadline(&f->order);
    int64_t until = now + (f->run->set->standalone ? STANDALONE_TICK_MS : TICK_MS);
    if (!f->said_nobody && f->began_ms > 0 && until > f->began_ms + NOBODY_AFTER_MS)
        until = f->began_ms + NOBODY_AFTER_MS;
    until = retry < until ? retry : until;
    until = deadline < until ? deadline : until;
    return until > now ? until - now : 0;
}

/* An answer is room for one more: who was told to come later need not wait so long. */
static void hurry(flight *f, size_t answers)
{
    order *o = &f->order;
    for (size_t file = o->printed; file < o->next && answers > 0 && o->ready > 0; file++) {
        slot *s = order_at(o, file);
        if (s->state == SLOT_READY && s->status == IMGQ_E_BUSY && s->again_ms > 0) {
            s->again_ms = 0;
            answers--;
        }
    }
}

static void note_away(flight *f, imgq_status status, const imgq_error *err)
{
    if (status == IMGQ_E_UNAVAILABLE)
        f->away = *err;
    if (status != IMGQ_E_CANCELLED)
        f->is_away = status == IMGQ_E_UNAVAILABLE;
}

/* All answers that are there, after waiting for the first. @return CLI_EXIT_OK, or of a failure of the whole */
static int collect(flight *f, int64_t timeout_ms)
{
    imgq_error err;
    if (f->order.flying == 0) {
        submit_nap_until(submit_now_ms() + timeout_ms);
        return CLI_EXIT_OK;
    }
    const size_t flying = f->order.flying;
    for (;; timeout_ms = 0) {
        imgq_result *result = NULL;
        const imgq_status status = imgq_queue_await(f->run->queue, NULL, 0, timeout_ms, &result, &err);
        if (status == IMGQ_OK) {
            const imgq_id id = imgq_result_id(result);
            slot *s = order_find(&f->order, &id);
            f->has_answer = true;
            f->nobody[0] = '\0';
            if (s != NULL)
                order_finish(&f->order, s, result);
            else
                imgq_result_destroy(result);
            if (f->order.flying > 0)
                continue;
        }
        note_away(f, status, &err);
        hurry(f, flying - f->order.flying);
        if (status == IMGQ_OK || status == IMGQ_E_TIMEOUT || status == IMGQ_E_CANCELLED)
            return CLI_EXIT_OK;
        if (status == IMGQ_E_UNAVAILABLE) {
            if (!f->said_away)
                submit_note(f->run, "%s: trying again", err.message);
            f->said_away = true;
            submit_nap_until(submit_now_ms() + (timeout_ms < AWAY_NAP_MS ? timeout_ms : AWAY_NAP_MS));
            return CLI_EXIT_OK;
        }
        return cli_error_status(f->run->program, &err);
    }
}

/* ---- time-outs ---- */

static void tell_nobody(flight *f)
{
    imgq_error err = {0};
    if (f->said_nobody || f->has_answer || f->is_away || f->began_ms == 0 || f->order.flying == 0 ||
        submit_now_ms() - f->began_ms < NOBODY_AFTER_MS)
        return;
    note_away(f, cli_workers_absent(f->run->queue, f->nobody, sizeof f->nobody, &err), &err);
    f->said_nobody = !f->is_away;
    if (f->nobody[0] != '\0' && !f->run->set->no_wait)
        submit_note(f->run, "%s", f->nobody);
}

static void expire_ready(flight *f, slot *s)
{
    char message[256];
    const submit_settings *set = f->run->set;
    const bool busy = s->status == IMGQ_E_BUSY;
    if (busy && f->busy[0] == '\0')
        snprintf(f->busy, sizeof f->busy, "queue %s is full", set->connect.queue);
    if (busy)
        snprintf(message, sizeof message, "%s: not accepted within %.3g s, try later", f->busy,
                 (double)set->timeout_ms / 1000);
    else
        snprintf(message, sizeof message, "queue %s is out of reach: not accepted within %.3g s", set->connect.queue,
                 (double)set->timeout_ms / 1000);
    order_fail(&f->order, s, busy ? IMGQ_E_BUSY : IMGQ_E_UNAVAILABLE, busy ? CLI_EXIT_BUSY : CLI_EXIT_REDIS, message);
}

/* It ended while we were about to cancel it: then there is an answer. */
static void take_last_answer(flight *f, slot *s)
{
    imgq_result *result = NULL;
    if (imgq_queue_await(f->run->queue, &s->id, 1, TICK_MS, &result, NULL) == IMGQ_OK)
        order_finish(&f->order, s, result);
}

static void expire_flying(flight *f, slot *s, imgq_status cancelled, const imgq_error *err)
{
    char message[256];
    const double seconds = (double)f->run->set->timeout_ms / 1000;
    if (cancelled == IMGQ_E_CONFLICT)
        take_last_answer(f, s);
    if (s->state != SLOT_FLYING)
        return;
    imgq_queue_forget(f->run->queue, &s->id);
    if (cancelled == IMGQ_E_UNAVAILABLE || cancelled == IMGQ_E_TIMEOUT) {
        snprintf(message, sizeof message, "no answer within %.3g s, and it could not be cancelled: %.150s", seconds,
                 err->message);
        order_fail(&f->order, s, IMGQ_E_UNAVAILABLE, CLI_EXIT_REDIS, message);
        return;
    }
    snprintf(message, sizeof message, "no answer within %.3g s, cancelled%s%s", seconds,
             f->nobody[0] != '\0' ? ": " : "", f->nobody);
    order_fail(&f->order, s, IMGQ_E_TIMEOUT, CLI_EXIT_TIMEOUT, message);
}

/* Cancels those of the page, then ends each. */
static void cancel_page(flight *f, slot **slots, size_t count,
                        void (*end)(flight *, slot *, imgq_status, const imgq_error *))
{
    imgq_id ids[BATCH_MAX];
    imgq_status each[BATCH_MAX];
    imgq_error err = {0};
    for (size_t i = 0; i < count; i++) {
        ids[i] = slots[i]->id;
        each[i] = NOT_SAID;
    }
    imgq_status status = IMGQ_E_UNAVAILABLE;
    if (f->is_away && f->run->set->id == NULL)
        err = f->away; /* Redis itself ends the jobs of a session that is gone */
    else
        status = imgq_queue_cancel_many(f->run->queue, ids, count, each, &err);
    note_away(f, status, &err);
    for (size_t i = 0; i < count; i++)
        end(f, slots[i], each[i] == NOT_SAID ? status : each[i], &err);
}

static void cancel_flying(flight *f, bool (*which)(const flight *, const slot *, int64_t now),
                          void (*end)(flight *, slot *, imgq_status, const imgq_error *))
{
    const int64_t now = submit_now_ms();
    slot *page[BATCH_MAX];
    size_t count = 0;
    order *o = &f->order;
    for (size_t file = o->printed; file < o->next; file++) {
        slot *s = order_at(o, file);
        if (s->state == SLOT_FLYING && which(f, s, now))
            page[count++] = s;
        if (count == BATCH_MAX || (count > 0 && file + 1 == o->next)) {
            cancel_page(f, page, count, end);
            count = 0;
        }
    }
}

static bool is_late(const flight *f, const slot *s, int64_t now)
{
    return s->first_ms + f->run->set->timeout_ms <= now;
}

static void expire(flight *f)
{
    const int64_t now = submit_now_ms();
    order *o = &f->order;
    if (order_next_deadline(o) > now)
        return;
    for (size_t file = o->printed; file < o->next; file++) {
        slot *s = order_at(o, file);
        if (s->state == SLOT_READY && s->first_ms > 0 && is_late(f, s, now))
            expire_ready(f, s);
    }
    cancel_flying(f, is_late, expire_flying);
}

/* ---- Ctrl-C ---- */

static bool is_any(const flight *f, const slot *s, int64_t now)
{
    (void)f, (void)s, (void)now;
    return true;
}

static void end_interrupted(flight *f, slot *s, imgq_status cancelled, const imgq_error *err)
{
    (void)err;
    if (cancelled == IMGQ_E_CONFLICT)
        take_last_answer(f, s);
    if (s->state == SLOT_FLYING)
        order_fail(&f->order, s, IMGQ_E_CANCELLED, CLI_EXIT_SOME,
                   cancelled == IMGQ_OK || cancelled == IMGQ_E_NOTFOUND ? "interrupted, cancelled"
                                                                        : "interrupted, could not be cancelled");
}

/* Jobs that may or may not have been accepted count as flying: cancelling one that is not there does no harm. */
static void interrupt(flight *f)
{
    order *o = &f->order;
    o->silent_failures = true;
    for (size_t file = o->printed; file < o->next; file++) {
        slot *s = order_at(o, file);
        if (s->state == SLOT_READY && s->has_id)
            order_fly(o, s);
        else if (s->state == SLOT_READY)
            order_fail(o, s, IMGQ_E_CANCELLED, CLI_EXIT_SOME, "interrupted");
    }
    const size_t flying = o->flying;
    cancel_flying(f, is_any, end_interrupted);
    order_print(o);
    submit_note(f->run, "interrupted: %zu of %zu done, %zu cancelled", f->run->outcome.by_code[CLI_EXIT_OK],
                f->run->files.count, flying);
}

/* ---- the whole ---- */

int submit_native(submit_run *run)
{
    flight f = {.run = run, .window = (size_t)run->set->window};
    int code = order_begin(&f.order, run, f.window);
    if (code != CLI_EXIT_OK)
        return code;
    while (code == CLI_EXIT_OK && f.order.printed < run->files.count && !f.order.stdout_is_gone) {
        const bool more = fill(&f);
        if (submit_interrupted(run)) {
            interrupt(&f);
            break;
        }
        order_print(&f.order);
        if (!run->set->no_wait || f.order.ready > 0)
            code = collect(&f, more ? 0 : wait_ms(&f));
        if (code == CLI_EXIT_OK && run->set->standalone)
            code = cli_standalone_check(&run->standalone);
        tell_nobody(&f);
        expire(&f);
        order_print(&f.order);
    }
    if (code != CLI_EXIT_OK || f.order.stdout_is_gone) {
        cancel_flying(&f, is_any, end_interrupted);
        code = code != CLI_EXIT_OK ? code : CLI_EXIT_SOME;
    }
    order_end(&f.order);
    return code;
}
