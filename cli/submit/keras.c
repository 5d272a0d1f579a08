/* The reference's wire: a list that its model server reads, and one key for each answer. */
#include <stdlib.h>
#include <string.h>

#include "cli/common/signals.h"
#include "cli/submit/order.h"

/* A tensor is 0.8 MB in the list: more of them at once would only fill Redis. */
enum { WINDOW_MAX = 64, POLL_MS = 100, PUSH_AGAIN_MS = 20000, SWEEP_PAGE = 1000 };

typedef struct keras {
    order order;
    submit_run *run;
    bool said_away;
    imgq_id *pushed; /* every id of this run: a server may answer one late, or twice */
    size_t pushed_count, pushed_room;
} keras;

/* Without room one late key may stay in Redis: no reason to fail a file that is answered. */
static void remember(keras *k, const imgq_id *id)
{
    if (k->pushed_count == k->pushed_room) {
        const size_t room = k->pushed_room > 0 ? 2 * k->pushed_room : 64;
        imgq_id *more = realloc(k->pushed, room * sizeof *more);
        if (more == NULL)
            return;
        k->pushed = more;
        k->pushed_room = room;
    }
    k->pushed[k->pushed_count++] = *id;
}

/* The reference's keys have no end of their own. Servers that race answer an item twice, and the second answer comes
 * after we have taken and deleted the first: so all are deleted once more at the end. */
static void sweep(keras *k)
{
    for (size_t at = 0; at < k->pushed_count; at += SWEEP_PAGE) {
        const size_t left = k->pushed_count - at;
        imgq_error err;
        if (imgq_reference_forget(k->run->reference, k->pushed + at, left < SWEEP_PAGE ? left : SWEEP_PAGE, &err) !=
            IMGQ_OK) {
            submit_note(k->run, "answers' keys may stay in Redis: %s", err.message);
            return;
        }
    }
}

/* @return false if the slot has ended */
static bool push(keras *k, slot *s, const cli_bytes *tensor)
{
    imgq_error err;
    imgq_id id = {{0}};
    const int64_t now = submit_now_ms();
    if (s->first_ms == 0)
        s->first_ms = now;
    const imgq_status status = imgq_reference_push(k->run->reference, (const float *)(const void *)tensor->data,
                                                   tensor->len / sizeof(float), &id, &err);
    if (id.text[0] != '\0') /* also where only the answer to the push was lost */
        remember(k, &id);
    if (status == IMGQ_OK) {
        s->pushes++;
        s->id = id;
        s->again_ms = submit_now_ms() + PUSH_AGAIN_MS;
        order_fly(&k->order, s);
        return true;
    }
    s->status = status;
    if (status == IMGQ_E_UNAVAILABLE || status == IMGQ_E_TIMEOUT || status == IMGQ_E_BUSY ||
        status == IMGQ_E_CANCELLED) {
        if (!k->said_away)
            submit_note(k->run, "%s: trying again", err.message);
        k->said_away = true;
        order_retry(&k->order, s, submit_now_ms() + POLL_MS);
        return true;
    }
    order_fail(&k->order, s, status, cli_outcome_code_of(status), err.message);
    return false;
}

static void push_file(keras *k, slot *s)
{
    cli_bytes tensor = {0};
    imgq_error err;
    imgq_status status = IMGQ_OK;
    if (s->payload.data == NULL)
        status = cli_payload_make(k->run->env, &k->run->how, s->name, &tensor, &err);
    if (status != IMGQ_OK) {
        order_fail(&k->order, s, status, CLI_EXIT_REFUSED, err.message);
        return;
    }
    /* A file can be read again; standard input cannot, so its tensor stays until the answer. */
    if (strcmp(s->name, "-") == 0 && s->payload.data == NULL) {
        s->payload = tensor;
        tensor = (cli_bytes){0};
    }
    (void)push(k, s, s->payload.data != NULL ? &s->payload : &tensor);
    free(tensor.data);
}

static void fill(keras *k)
{
    order *o = &k->order;
    const int64_t now = submit_now_ms();
    const int64_t window = k->run->set->window < WINDOW_MAX ? k->run->set->window : WINDOW_MAX;
    for (size_t file = o->printed; file < o->next && o->ready > 0 && cli_signals_caught() == 0; file++) {
        slot *s = order_at(o, file);
        if (s->state == SLOT_READY && s->again_ms <= now)
            push_file(k, s);
    }
    while (o->flying + o->ready < (size_t)window && order_has_room(o) && cli_signals_caught() == 0)
        push_file(k, order_open(o));
}

/* @return CLI_EXIT_OK, or of a failure of the whole */
static int poll_answers(keras *k)
{
    order *o = &k->order;
    imgq_id ids[WINDOW_MAX];
    imgq_result *results[WINDOW_MAX] = {0};
    slot *slots[WINDOW_MAX];
    size_t count = 0;
    imgq_error err;
    for (size_t file = o->printed; file < o->next && count < WINDOW_MAX; file++) {
        slot *s = order_at(o, file);
        if (s->state == SLOT_FLYING) {
            slots[count] = s;
            ids[count++] = s->id;
        }
    }
    if (count == 0)
        return CLI_EXIT_OK;
    const imgq_status status = imgq_reference_poll(k->run->reference, ids, count, results, &err);
    for (size_t i = 0; i < count; i++)
        if (results[i] != NULL)
            order_finish(o, slots[i], results[i]);
    if (status == IMGQ_OK || status == IMGQ_E_CANCELLED)
        return CLI_EXIT_OK;
    if (status == IMGQ_E_UNAVAILABLE || status == IMGQ_E_TIMEOUT || status == IMGQ_E_BUSY) {
        if (!k->said_away)
            submit_note(k->run, "%s: trying again", err.message);
        k->said_away = true;
        return CLI_EXIT_OK;
    }
    return cli_error_status(k->run->program, &err);
}

/* Items are lost by the reference's own LRANGE and LTRIM: after 20 s one goes again under another name. */
static void renew_and_expire(keras *k)
{
    order *o = &k->order;
    const submit_settings *set = k->run->set;
    const int64_t now = submit_now_ms();
    char message[256];
    for (size_t file = o->printed; file < o->next; file++) {
        slot *s = order_at(o, file);
        if (s->state == SLOT_ENDED)
            continue;
        if (s->first_ms > 0 && s->first_ms + set->timeout_ms <= now) {
            const bool away = s->state == SLOT_READY;
            snprintf(message, sizeof message, "no answer on the list %s within %.3g s (pushed %lld times)",
                     set->connect.queue, (double)set->timeout_ms / 1000, (long long)s->pushes);
            order_fail(o, s, away ? IMGQ_E_UNAVAILABLE : IMGQ_E_TIMEOUT, away ? CLI_EXIT_REDIS : CLI_EXIT_TIMEOUT,
                       message);
        } else if (s->state == SLOT_FLYING && s->again_ms <= now && s->pushes < set->attempts) {
            /* Should the first come after all, under the old key, then it is the sweep's. */
            push_file(k, s);
        }
    }
}

static void interrupt(keras *k)
{
    order *o = &k->order;
    o->silent_failures = true;
    for (size_t file = o->printed; file < o->next; file++) {
        slot *s = order_at(o, file);
        if (s->state != SLOT_ENDED)
            order_fail(o, s, IMGQ_E_CANCELLED, CLI_EXIT_SOME, "interrupted");
    }
    order_print(o);
    submit_note(k->run, "interrupted: %zu of %zu done", k->run->outcome.by_code[CLI_EXIT_OK], k->run->files.count);
}

int submit_keras(submit_run *run)
{
    keras k = {.run = run};
    int code = order_begin(&k.order, run, WINDOW_MAX);
    if (code != CLI_EXIT_OK)
        return code;
    while (code == CLI_EXIT_OK && k.order.printed < run->files.count && !k.order.stdout_is_gone) {
        fill(&k);
        if (submit_interrupted(run)) {
            interrupt(&k);
            break;
        }
        order_print(&k.order);
        if (k.order.printed == run->files.count)
            break;
        submit_nap_until(submit_now_ms() + POLL_MS);
        code = poll_answers(&k);
        renew_and_expire(&k);
        order_print(&k.order);
    }
    if (code == CLI_EXIT_OK && k.order.stdout_is_gone)
        code = CLI_EXIT_SOME;
    sweep(&k);
    free(k.pushed);
    order_end(&k.order);
    return code;
}
