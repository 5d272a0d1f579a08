/* Ctrl-C and SIGTERM, noted in the handler and passed on to one function. */
#include "cli/common/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

/* A handler has no argument of its own, so what it needs lives here; written before the handlers are installed. */
static cli_signal_fn on_signal;
static void *on_signal_user;
static atomic_int is_attached, first_caught, times_caught; /* lock-free: safe in a handler */

static const int handled[] = {SIGINT, SIGTERM, SIGHUP};

static void handler(int number)
{
    const int saved = errno;
    int none = 0;
    (void)atomic_compare_exchange_strong(&first_caught, &none, number);
    const int nth = atomic_fetch_add(&times_caught, 1) + 1;
    if (atomic_load(&is_attached) && on_signal != NULL)
        on_signal(on_signal_user, number, nth);
    errno = saved;
}

void cli_signals_install(cli_signal_fn fn, void *user)
{
    struct sigaction act = {.sa_handler = handler}, ignore = {.sa_handler = SIG_IGN}, old;
    sigemptyset(&act.sa_mask);
    sigemptyset(&ignore.sa_mask);
    atomic_store(&is_attached, 0);
    on_signal = fn;
    on_signal_user = user;
    atomic_store(&is_attached, 1);
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++)
        if (sigaction(handled[i], NULL, &old) != 0 || old.sa_handler != SIG_IGN)
            (void)sigaction(handled[i], &act, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

void cli_signals_detach(void)
{
    atomic_store(&is_attached, 0);
}

int cli_signals_caught(void)
{
    return atomic_load(&first_caught);
}

int cli_signals_count(void)
{
    return atomic_load(&times_caught);
}

void cli_signals_die(void)
{
    const int number = cli_signals_caught();
    if (number == 0)
        return;
    struct sigaction act = {.sa_handler = SIG_DFL};
    sigset_t only;
    sigemptyset(&act.sa_mask);
    sigemptyset(&only);
    sigaddset(&only, number);
    (void)sigaction(number, &act, NULL);
    (void)sigprocmask(SIG_UNBLOCK, &only, NULL);
    (void)raise(number);
}
