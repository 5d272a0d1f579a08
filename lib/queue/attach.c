/* Jobs by their ids: following another's, and cancelling. */
#include "base/fail.h"
#include "base/id.h"
#include "queue/ids.h"
#include "queue/inbox.h"
#include "queue/scripts.h"

#include <string.h>

imgq_status iq_queue_call_ids(imgq_queue *queue, const iq_script *script, bool with_rid, const imgq_id *ids,
                              size_t count, iq_deadline deadline, const char *what, iq_reply **reply, imgq_error *err)
{
    iq_commands commands;
    const iq_request request = {.line = IQ_LINE_COMMAND, .deadline = deadline};
    iq_commands_init(&commands, queue->env);
    iq_queue_add_script(queue, &commands, script);
    iq_queue_add_owner(queue, &commands);
    if (with_rid)
        iq_commands_bytes(&commands, queue->rid, sizeof queue->rid);
    for (size_t i = 0; i < count; i++) {
        const size_t len = strnlen(ids[i].text, sizeof ids[i].text);
        /* The script refuses the whole call for one malformed id; such a job cannot exist, and neither can "_". */
        if (iq_id_is_valid(ids[i].text, len))
            iq_commands_bytes(&commands, ids[i].text, len);
        else
            iq_commands_text(&commands, "_");
    }
    imgq_status status = iq_queue_call(queue, &commands, &request, what, reply, err);
    if (status == IMGQ_OK && ((*reply)->type != IQ_REPLY_ARRAY || (*reply)->count != count)) {
        status = iq_fail(err, IMGQ_E_PROTOCOL, 0, "%s: %zu answers to %zu ids", what, (*reply)->count, count);
        iq_queue_free_replies(reply, 1);
    }
    iq_commands_release(&commands);
    return status;
}

imgq_status iq_id_code_status(const iq_reply *reply, const char *what, const imgq_id *id, const char *otherwise,
                              imgq_error *err)
{
    int64_t code;
    if (!iq_reply_int(reply, &code))
        code = INT64_MAX;
    switch (code) {
    case 1:
        return IMGQ_OK;
    case 0:
        return iq_fail(err, IMGQ_E_CONFLICT, 0, "%s job %.64s: it %s", what, id->text, otherwise);
    case -1:
        return iq_fail(err, IMGQ_E_NOTFOUND, 0, "%s job %.64s: unknown or expired", what, id->text);
    case -2:
        return iq_fail(err, IMGQ_E_DENIED, 0, "%s job %.64s: it belongs to another owner", what, id->text);
    default:
        return iq_fail(err, IMGQ_E_PROTOCOL, 0, "%s job %.64s: the answer is none of this protocol", what, id->text);
    }
}

/* The first failure is the one that is told. */
static void tell(imgq_status status, const imgq_error *why, imgq_status *first, imgq_error *err)
{
    if (status == IMGQ_OK || *first != IMGQ_OK)
        return;
    *first = status;
    if (err != NULL)
        *err = *why;
}

/* ---- attach ---- */

static imgq_status attach_one(imgq_queue *queue, const imgq_id *id, const iq_reply *reply, imgq_error *err)
{
    iq_look look;
    imgq_status status = IMGQ_OK;
    if (!iq_look_read(&look, reply))
        status = iq_fail(err, IMGQ_E_CORRUPT, 0, "attach to job %.64s: its record in Redis is not readable", id->text);
    else if (look.code < IQ_LOOK_JOB)
        status = iq_id_code_status(iq_reply_at(reply, 0), "attach to", id, "", err);
    iq_inbox_settle(queue->inbox, id, status == IMGQ_OK ? IQ_OUTCOME_ACCEPTED : IQ_OUTCOME_REFUSED,
                    status == IMGQ_OK ? &look : NULL, NULL);
    return status;
}

static imgq_status attach_page(imgq_queue *queue, const imgq_id *ids, size_t count, iq_deadline deadline,
                               imgq_error *err)
{
    iq_reply *reply = NULL;
    imgq_status first = IMGQ_OK;
    size_t begun = 0;
    while (begun < count && (first = iq_inbox_begin(queue->inbox, &ids[begun], err)) == IMGQ_OK)
        begun++;
    if (first == IMGQ_OK)
        first = iq_queue_call_ids(queue, &iq_lua_attach, true, ids, count, deadline, "attach", &reply, err);
    if (reply == NULL) {
        for (size_t i = 0; i < begun; i++)
            iq_inbox_settle(queue->inbox, &ids[i], IQ_OUTCOME_REFUSED, NULL, NULL);
        return first;
    }
    for (size_t i = 0; i < count; i++) {
        imgq_error why = {0};
        const imgq_status status = attach_one(queue, &ids[i], iq_reply_at(reply, i), &why);
        tell(status, &why, &first, err);
    }
    iq_reply_free(reply);
    return first;
}

imgq_status imgq_queue_attach(imgq_queue *queue, const imgq_id *ids, size_t count, imgq_error *err)
{
    imgq_status first = iq_inbox_subscribe(queue->inbox, iq_queue_deadline(queue), err);
    if (first != IMGQ_OK)
        return first;
    for (size_t done = 0; done < count;) {
        const size_t page = count - done < IQ_IDS_PAGE ? count - done : IQ_IDS_PAGE;
        imgq_error why = {0};
        const imgq_status status = attach_page(queue, ids + done, page, iq_queue_deadline(queue), &why);
        tell(status, &why, &first, err);
        if (status != IMGQ_OK && status != IMGQ_E_NOTFOUND && status != IMGQ_E_DENIED && status != IMGQ_E_CORRUPT)
            break;
        done += page;
    }
    return first;
}

/* ---- cancel ---- */

imgq_status imgq_queue_cancel_many(imgq_queue *queue, const imgq_id *ids, size_t count, imgq_status *each,
                                   imgq_error *err)
{
    imgq_status first = IMGQ_OK, called = IMGQ_OK;
    imgq_error call_error = {0};
    for (size_t done = 0; done < count;) {
        const size_t page = count - done < IQ_IDS_PAGE ? count - done : IQ_IDS_PAGE;
        iq_reply *reply = NULL;
        /* A server that is away is not waited for page by page. */
        if (called == IMGQ_OK)
            called = iq_queue_call_ids(queue, &iq_lua_cancel, false, ids + done, page, iq_queue_deadline(queue),
                                       "cancel", &reply, &call_error);
        for (size_t i = 0; i < page; i++) {
            imgq_error why = call_error;
            const imgq_status status = called != IMGQ_OK ? called
                                                         : iq_id_code_status(iq_reply_at(reply, i), "cancel",
                                                                             &ids[done + i], "has ended already", &why);
            tell(status, &why, &first, err);
            if (each != NULL)
                each[done + i] = status;
        }
        iq_reply_free(reply);
        done += page;
    }
    return first;
}

imgq_status imgq_queue_cancel(imgq_queue *queue, const imgq_id *id, imgq_error *err)
{
    return imgq_queue_cancel_many(queue, id, 1, NULL, err);
}
