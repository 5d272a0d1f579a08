/* Ctrl-C and SIGTERM, once for clean, twice for quick. */
#ifndef CLI_COMMON_SIGNALS_H
#define CLI_COMMON_SIGNALS_H

/** Called in the handler: async-signal-safe calls only. @param nth 1 for the first signal, 2 for the second ... */
typedef void (*cli_signal_fn)(void *user, int signal, int nth);

/** SIGINT, SIGTERM and SIGHUP (unless ignored, as under nohup) call fn; SIGPIPE is ignored. fn NULL: only noted. */
void cli_signals_install(cli_signal_fn fn, void *user);
/** From now on nothing is called, only noted; for before what `user` points at goes away. */
void cli_signals_detach(void);
/** 0, or the first signal that came. */
int cli_signals_caught(void);
/** 0, or how many came. */
int cli_signals_count(void);
/** Ends the process as the signal would have (a shell sees 128+n); returns if none came. */
void cli_signals_die(void);

#endif
