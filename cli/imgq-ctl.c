/* imgq-ctl: look at a queue and steer it. */
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/common/print.h"
#include "cli/common/signals.h"
#include "cli/ctl/ctl.h"

#define AT(field) offsetof(ctl_settings, field)
#define ONLY(command) (1u << (command))

static const cli_option options[] = {
    CLI_CONNECT_OPTIONS(ctl_settings, connect),
    CLI_QUEUE_OPTION(ctl_settings, connect),
    {.name = "import",
     .value = "LIST",
     .kind = CLI_TEXT,
     .at = AT(import_list),
     .help = "instead of a queue: the jobs that workers imported from the reference's LIST"},
    {.group = "Commands' own",
     .name = "confirm",
     .value = "QUEUE",
     .kind = CLI_TEXT,
     .at = AT(confirm),
     .commands = ONLY(CTL_PURGE) | ONLY(CTL_DEAD_PURGE),
     .help = "the queue's name once more: yes, remove its jobs (purge, dead purge)"},
    {.name = "what",
     .value = "KIND",
     .kind = CLI_CHOICE,
     .choices = "waiting|delayed|dead",
     .by_default = "waiting",
     .at = AT(what),
     .commands = ONLY(CTL_PURGE),
     .help = "which jobs (purge)"},
    {.name = "priority",
     .letter = 'p',
     .value = "0-9",
     .kind = CLI_INT,
     .min = 0,
     .max = 9,
     .at = AT(priority),
     .commands = ONLY(CTL_PURGE),
     .help = "only waiting jobs of this priority (purge)"},
    {.name = "older-than",
     .value = "S",
     .kind = CLI_SECONDS,
     .max = 31536000,
     .at = AT(older_than_ms),
     .commands = ONLY(CTL_PURGE) | ONLY(CTL_DEAD_PURGE),
     .help = "only jobs submitted, or dead ones that died, so many seconds ago (purge, dead purge)"},
    {.name = "max",
     .value = "N",
     .kind = CLI_INT,
     .by_default = "1000",
     .min = 1,
     .max = 1e9,
     .at = AT(max),
     .commands = ONLY(CTL_DEAD_LIST),
     .help = "dead letters to list, oldest first (dead list)"},
    {.name = "skip",
     .value = "N",
     .kind = CLI_INT,
     .at = AT(skip),
     .commands = ONLY(CTL_DEAD_LIST),
     .help = "dead letters to pass over before (dead list)"},
    {.name = "all",
     .kind = CLI_FLAG,
     .at = AT(all),
     .commands = ONLY(CTL_DEAD_REQUEUE),
     .help = "all that are dead now (dead requeue)"},
    {.name = "deliveries",
     .kind = CLI_FLAG,
     .at = AT(deliveries),
     .commands = ONLY(CTL_PAUSE),
     .help = "workers get no more jobs; those that are active go on (pause)"},
    {.name = "submits",
     .kind = CLI_FLAG,
     .at = AT(submits),
     .commands = ONLY(CTL_PAUSE),
     .help = "new jobs are refused (pause; without either both)"},
    {.group = "Output",
     .name = "format",
     .letter = 'f',
     .value = "FORMAT",
     .kind = CLI_CHOICE,
     .choices = "text|json",
     .by_default = "text",
     .at = AT(format),
     .help = "for people, or one JSON object a line"},
    CLI_LOG_OPTIONS(ctl_settings),
};

static const cli_command commands[] = {
    [CTL_STATS] = {"stats", NULL, "how many jobs are where, and what became of all so far"},
    [CTL_SHOW] = {"show", "ID...", "a job's state, and its answer or error"},
    [CTL_CANCEL] = {"cancel", "ID...", "cancel jobs that have not ended"},
    [CTL_DEAD_LIST] = {"dead list", NULL, "jobs that failed for good"},
    [CTL_DEAD_REQUEUE] = {"dead requeue", "ID...|--all", "let them wait again, counters and deadline fresh"},
    [CTL_DEAD_PURGE] = {"dead purge", NULL, "remove them (needs --confirm)"},
    [CTL_PURGE] = {"purge", NULL, "cancel what waits or is delayed, or remove the dead (needs --confirm)"},
    [CTL_PAUSE] = {"pause", NULL, "stop deliveries, submits or both"},
    [CTL_RESUME] = {"resume", NULL, "go on with both"},
    [CTL_WORKERS] = {"workers", NULL, "who was seen within the hour"},
    [CTL_SET] = {"set", "SETTING VALUE",
                 "change one of the queue's settings, as max_jobs; a wrong name says the choices"},
};

static const cli_program program = {
    .name = "imgq-ctl",
    .purpose = "Looks at a queue of images in Redis and steers it.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .commands = commands,
    .command_count = sizeof commands / sizeof *commands,
};

static void on_signal(void *user, int signal, int nth)
{
    ctl *c = user;
    imgq_queue *queue = atomic_load(&c->queue);
    if (queue != NULL)
        imgq_queue_interrupt(queue);
    if (nth > 1)
        _exit(128 + signal);
}

/* What a user may do who has the rights of lib/queue/acl/reader.acl and no more. */
static bool looks_only(size_t command)
{
    return command == CTL_STATS || command == CTL_SHOW || command == CTL_WORKERS || command == CTL_DEAD_LIST;
}

static int open_queue(ctl *c, cli_log *log, cli_connect *connect)
{
    imgq_env_options env_options = IMGQ_ENV_OPTIONS_INIT;
    imgq_queue_options queue_options = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_queue *queue = NULL;
    imgq_error err;
    if (c->set->import_list != NULL && cli_args_origin(c->args, "queue") == CLI_FROM_ARGUMENT)
        return cli_args_wrong(c->args->program, "--import is instead of --queue");
    const int code = cli_connect_prepare(c->args, connect, &queue_options);
    if (code != CLI_EXIT_OK)
        return code;
    cli_log_init(log, c->program, NULL, c->set->log_level, c->set->log_format == 1);
    cli_ui_use_log_for_machines(log);
    env_options.log_fn = cli_log_fn;
    env_options.log_user = log;
    queue_options.no_notify = 1;
    queue_options.import_list = c->set->import_list;
    queue_options.roles = looks_only(c->args->command) ? IMGQ_ROLE_READER : IMGQ_ROLE_OPERATOR;
    if (imgq_env_create(&env_options, &c->env, &err) != IMGQ_OK ||
        imgq_queue_open(c->env, connect->redis, &queue_options, &queue, &err) != IMGQ_OK)
        return cli_connect_failed(c->args, &err);
    atomic_store(&c->queue, queue);
    return CLI_EXIT_OK;
}

static int run(ctl *c)
{
    switch (c->args->command) {
    case CTL_STATS:
        return ctl_stats(c);
    case CTL_SHOW:
        return ctl_show(c);
    case CTL_CANCEL:
        return ctl_cancel(c);
    case CTL_DEAD_LIST:
        return ctl_dead_list(c);
    case CTL_DEAD_REQUEUE:
        return ctl_dead_requeue(c);
    case CTL_DEAD_PURGE:
        return ctl_purge(c, IMGQ_PURGE_DEAD);
    case CTL_PURGE:
        return ctl_purge(c, c->set->what);
    case CTL_PAUSE:
        return ctl_pause(c);
    case CTL_RESUME:
        return ctl_resume(c);
    case CTL_WORKERS:
        return ctl_workers(c);
    default:
        return ctl_set(c);
    }
}

int main(int argc, char **argv)
{
    ctl_settings set;
    cli_args args;
    cli_log log;
    int code;
    /* How wide a character is, for the tables; numbers stay as the C locale writes them. */
    (void)setlocale(LC_CTYPE, "");
    if (!cli_args_parse(&program, argc, argv, &set, sizeof set, &args, &code))
        return code;
    ctl c = {.args = &args, .program = program.name, .set = &set, .json = set.format == CLI_JSON_FORMAT};
    cli_signals_install(on_signal, &c);
    code = open_queue(&c, &log, &set.connect);
    if (code == CLI_EXIT_OK && cli_signals_caught() == 0)
        code = run(&c);
    if (fflush(stdout) != 0 && code == CLI_EXIT_OK)
        code = CLI_EXIT_SOME;
    cli_signals_detach();
    imgq_queue_close(atomic_exchange(&c.queue, NULL));
    imgq_env_destroy(c.env);
    cli_connect_release(&set.connect);
    cli_args_release(&args);
    cli_signals_die();
    return code;
}
