/* Jobs that somebody submitted before: wait for them, or cancel them. */
#include <stdio.h>
#include <string.h>

#include "cli/common/signals.h"
#include "cli/submit/order.h"

enum { PAGE = 128, TICK_MS = 1000 };

static void note_attached(order *o, slot *s, imgq_status status, const imgq_error *err)
{
    s->first_ms = submit_now_ms();
    if (status == IMGQ_OK)
        order_fly(o, s);
    else
        order_fail(o, s, status, cli_outcome_code_of(status), err->message);
}

/* One call for all; only if one of them is unknown, each for itself, so that the others are followed. */
static void attach_page(order *o, slot **slots, size_t count)
{
    imgq_id ids[PAGE];
    imgq_error err = {0};
    for (size_t i = 0; i < count; i++)
        ids[i] = slots[i]->id;
    imgq_status status = imgq_queue_attach(o->run->queue, ids, count, &err);
    for (size_t i = 0; i < count; i++) {
        if (status != IMGQ_OK && count > 1) {
            imgq_error each = {0};
            note_attached(o, slots[i], imgq_queue_attach(o->run->queue, &ids[i], 1, &each), &each);
        } else {
            note_attached(o, slots[i], status, &err);
        }
    }
}

static void attach_all(order *o)
{
    slot *page[PAGE];
    size_t count = 0;
    while (order_has_room(o)) {
        slot *s = order_open(o);
        if (strlen(s->name) >= sizeof s->id.text) {
            order_fail(o, s, IMGQ_E_INVALID, CLI_EXIT_SOME, "not an id: more than 64 characters");
        } else {
            snprintf(s->id.text, sizeof s->id.text, "%s", s->name);
            s->has_id = true;
            page[count++] = s;
        }
        if (count == PAGE || (count > 0 && !order_has_room(o))) {
            attach_page(o, page, count);
            count = 0;
        }
    }
}

static int collect(order *o, int64_t timeout_ms)
{
    imgq_error err;
    imgq_result *result = NULL;
    while (o->flying > 0) {
        const imgq_status status = imgq_queue_await(o->run->queue, NULL, 0, timeout_ms, &result, &err);
        if (status == IMGQ_OK) {
            const imgq_id id = imgq_result_id(result);
            slot *s = order_find(o, &id);
            if (s != NULL)
                order_finish(o, s, result);
            else
                imgq_result_destroy(result);
            timeout_ms = 0;
            continue;
        }
        if (status == IMGQ_E_UNAVAILABLE)
            submit_nap_until(submit_now_ms() + timeout_ms);
        else if (status != IMGQ_E_TIMEOUT && status != IMGQ_E_CANCELLED)
            return cli_error_status(o->run->program, &err);
        return CLI_EXIT_OK;
    }
    return CLI_EXIT_OK;
}

/* Others' jobs: a time-out ends the waiting, not the job. */
static void expire(order *o, bool all)
{
    char message[128];
    const int64_t now = submit_now_ms();
    for (size_t file = o->printed; file < o->next; file++) {
        slot *s = order_at(o, file);
        if (s->state != SLOT_FLYING || (!all && s->first_ms + o->run->set->timeout_ms > now))
            continue;
        imgq_queue_forget(o->run->queue, &s->id);
        snprintf(message, sizeof message, "no answer within %.3g s; the job goes on",
                 (double)o->run->set->timeout_ms / 1000);
        if (all)
            order_fail(o, s, IMGQ_E_CANCELLED, CLI_EXIT_SOME, "interrupted; the job goes on");
        else
            order_fail(o, s, IMGQ_E_TIMEOUT, CLI_EXIT_TIMEOUT, message);
    }
}

int submit_await(submit_run *run)
{
    order o;
    int code = order_begin(&o, run, run->files.count);
    if (code != CLI_EXIT_OK)
        return code;
    attach_all(&o);
    order_print(&o);
    while (code == CLI_EXIT_OK && o.printed < run->files.count && !o.stdout_is_gone) {
        if (submit_interrupted(run)) {
            o.silent_failures = true;
            expire(&o, true);
            order_print(&o);
            submit_note(run, "interrupted: %zu of %zu done, the others go on", run->outcome.by_code[CLI_EXIT_OK],
                        run->files.count);
            break;
        }
        const int64_t left = order_next_deadline(&o) - submit_now_ms();
        code = collect(&o, left < 0 ? 0 : left < TICK_MS ? left : TICK_MS);
        expire(&o, false);
        order_print(&o);
    }
    if (code == CLI_EXIT_OK && o.stdout_is_gone)
        code = CLI_EXIT_SOME;
    order_end(&o);
    return code;
}

int submit_cancel(submit_run *run)
{
    for (size_t i = 0; i < run->files.count && !submit_interrupted(run); i++) {
        imgq_id id;
        imgq_error err = {0};
        imgq_status status;
        const char *text = run->files.paths[i];
        if (strlen(text) >= sizeof id.text) {
            status = cli_fail(&err, IMGQ_E_INVALID, 0, "not an id: more than 64 characters");
        } else {
            snprintf(id.text, sizeof id.text, "%s", text);
            status = imgq_queue_cancel(run->queue, &id, &err);
        }
        cli_outcome_add(&run->outcome, cli_outcome_code_of(status));
        if (status != IMGQ_OK)
            cli_error_about(run->program, text, err.message);
        if (!cli_print_cancel(&run->printer, text, status, err.message))
            return CLI_EXIT_SOME;
    }
    return CLI_EXIT_OK;
}
