/* The ring of files under way, and their printing in order. */
#include "cli/submit/order.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/signals.h"

/* Answers may run ahead of the one that is printed next by this many windows; then reading waits. */
enum { RUN_AHEAD = 16 };

int order_begin(order *o, submit_run *run, size_t window)
{
    *o = (order){.run = run, .room = window * RUN_AHEAD};
    if (o->room > run->files.count)
        o->room = run->files.count > 0 ? run->files.count : 1;
    o->slots = calloc(o->room, sizeof *o->slots);
    if (o->slots == NULL) {
        cli_error(run->program, "memory ran out for a window of %zu", window);
        return CLI_EXIT_SOME;
    }
    return CLI_EXIT_OK;
}

static void empty(slot *s)
{
    free(s->payload.data);
    imgq_result_destroy(s->result);
    *s = (slot){0};
}

void order_end(order *o)
{
    for (size_t file = o->printed; file < o->next; file++)
        empty(order_at(o, file));
    free(o->slots);
    *o = (order){0};
}

slot *order_at(order *o, size_t file)
{
    return &o->slots[file % o->room];
}

bool order_has_room(const order *o)
{
    return o->next < o->run->files.count && o->next - o->printed < o->room;
}

slot *order_open(order *o)
{
    slot *s = order_at(o, o->next);
    *s = (slot){.name = o->run->files.paths[o->next], .state = SLOT_READY, .total_ms = -1};
    o->next++;
    o->ready++;
    return s;
}

static void leave(order *o, slot *s)
{
    if (s->state == SLOT_READY)
        o->ready--;
    if (s->state == SLOT_FLYING)
        o->flying--;
}

static void end(order *o, slot *s, imgq_status status, int code)
{
    leave(o, s);
    s->state = SLOT_ENDED;
    s->status = status;
    s->code = code;
    if (s->first_ms > 0)
        s->total_ms = (double)(submit_now_ms() - s->first_ms);
    free(s->payload.data);
    s->payload = (cli_bytes){0};
}

void order_fail(order *o, slot *s, imgq_status status, int code, const char *message)
{
    end(o, s, status, code);
    snprintf(s->message, sizeof s->message, "%s", message);
}

void order_finish(order *o, slot *s, imgq_result *result)
{
    const imgq_status status = result != NULL ? imgq_result_status(result) : IMGQ_OK;
    end(o, s, status, cli_outcome_code_of(status));
    s->result = result;
    if (result != NULL)
        snprintf(s->message, sizeof s->message, "%s", imgq_result_message(result));
}

void order_fly(order *o, slot *s)
{
    leave(o, s);
    s->state = SLOT_FLYING;
    s->has_id = true;
    o->flying++;
}

void order_retry(order *o, slot *s, int64_t again_ms)
{
    leave(o, s);
    s->state = SLOT_READY;
    s->again_ms = again_ms;
    o->ready++;
}

slot *order_find(order *o, const imgq_id *id)
{
    for (size_t file = o->printed; file < o->next; file++) {
        slot *s = order_at(o, file);
        if (s->state == SLOT_FLYING && strcmp(s->id.text, id->text) == 0)
            return s;
    }
    return NULL;
}

static void say_failure(order *o, const slot *s, const cli_answer *answer)
{
    if (o->silent_failures || s->status == IMGQ_OK)
        return;
    cli_error_about(o->run->program, cli_file_shown(s->name),
                    answer->message[0] != '\0' ? answer->message : imgq_status_name(s->status));
}

void order_print(order *o)
{
    submit_run *run = o->run;
    for (; o->printed < o->next && order_at(o, o->printed)->state == SLOT_ENDED; o->printed++) {
        slot *s = order_at(o, o->printed);
        const bool is_id = run->set->await.count > 0;
        const cli_answer answer = {.file = is_id ? NULL : s->name,
                                   .id = s->has_id ? s->id.text : NULL,
                                   .status = s->status,
                                   .message = s->message,
                                   .result = s->result,
                                   .queue = run->set->connect.queue,
                                   .has_classes = run->set->wire == WIRE_NATIVE,
                                   .total_ms = s->total_ms};
        cli_outcome_add(&run->outcome, s->code);
        cli_progress_hide(&run->bar);
        if (!o->stdout_is_gone && !cli_print_answer(&run->printer, &answer)) {
            o->stdout_is_gone = true;
            if (errno != EPIPE) /* a reader that has seen enough is no news */
                cli_error(run->program, "standard output cannot be written: %s", strerror(errno));
        }
        say_failure(o, s, &answer);
        empty(s);
    }
    const size_t ok = run->outcome.by_code[CLI_EXIT_OK];
    cli_progress_set(&run->bar, ok, run->outcome.total - ok);
}

int64_t order_next_deadline(order *o)
{
    int64_t first = INT64_MAX;
    for (size_t file = o->printed; file < o->next; file++) {
        const slot *s = order_at(o, file);
        if (s->state != SLOT_ENDED && s->first_ms > 0 && s->first_ms + o->run->set->timeout_ms < first)
            first = s->first_ms + o->run->set->timeout_ms;
    }
    return first;
}
