#include "queue/probe.h"

#include "base/fail.h"
#include "queue/scripts.h"

#include <stdio.h>
#include <string.h>

/* One role's missing rules, "+zadd ~iq:*", behind what is in text already. Channels are no reason to refuse. */
static void add_missing(const iq_reply *rules, char *text, size_t size)
{
    size_t used = strlen(text);
    for (size_t i = 0; i < rules->count; i++) {
        const iq_reply *rule = iq_reply_at(rules, i);
        if (rule->type != IQ_REPLY_TEXT || rule->len == 0 || rule->text[0] == '&' || strstr(text, rule->text) != NULL)
            continue;
        const int more = snprintf(text + used, size - used, "%s%s", used > 0 ? " " : "", rule->text);
        if (more < 0 || (size_t)more >= size - used)
            break;
        used += (size_t)more;
    }
}

static imgq_status probe_role(imgq_queue *queue, const char *role, iq_deadline deadline, char *missing, size_t size,
                              imgq_error *err)
{
    iq_commands commands;
    iq_reply *reply = NULL;
    const iq_request request = {.line = IQ_LINE_COMMAND, .flags = IQ_CALL_NO_PROBE, .deadline = deadline};
    iq_commands_init(&commands, queue->env);
    iq_queue_add_script(queue, &commands, &iq_lua_probe);
    iq_commands_text(&commands, role);
    iq_commands_text(&commands, queue->import_list != NULL ? queue->import_list : "");
    const imgq_status status = iq_queue_call(queue, &commands, &request, "ask for the user's rights", &reply, err);
    if (status == IMGQ_OK)
        add_missing(reply, missing, size);
    iq_reply_free(reply);
    iq_commands_release(&commands);
    return status;
}

imgq_status iq_queue_probe(imgq_queue *queue, iq_deadline deadline, imgq_error *err)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } roles[] = {{IMGQ_ROLE_READER, "reader"},
                 {IMGQ_ROLE_PRODUCER, "producer"},
                 {IMGQ_ROLE_WORKER, "worker"},
                 {IMGQ_ROLE_OPERATOR, "operator"}};
    char missing[160] = "", names[40] = "";
    imgq_status status = IMGQ_OK;
    for (size_t i = 0; status == IMGQ_OK && i < sizeof roles / sizeof *roles; i++) {
        if ((queue->options.roles & roles[i].bit) == 0)
            continue;
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ", " : "", roles[i].name);
        status = probe_role(queue, roles[i].name, deadline, missing, sizeof missing, err);
    }
    if (status == IMGQ_OK && missing[0] != '\0')
        return iq_fail(err, IMGQ_E_DENIED, 0, "the user lacks rights for %s: ACL SETUSER ... %s", names, missing);
    return status;
}
