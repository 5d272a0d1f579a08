/* sd_notify(3) without libsystemd: one datagram a message, to whoever started us and asked for it. */
#ifndef CLI_WORKER_NOTIFY_H
#define CLI_WORKER_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/** Zeroed: nobody asked, every call is a no-op. One thread at a time. */
typedef struct cli_notify {
    char path[108]; /* of the socket; "" where nobody asked */
    bool is_abstract;
    int64_t watchdog_ms; /* how often a sign of progress is wanted at the least; 0: not at all */
    int64_t fed_ms, told_ms;
} cli_notify;

/** Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and removes them, so that no child answers for us. */
void cli_notify_init(cli_notify *notify);
/** Sends "READY=1", "STATUS=...", "STOPPING=1", or several joined by '\n'. @return false: nobody asked or heard */
bool cli_notify_send(cli_notify *notify, const char *message);
/** Work went on: feeds the watchdog when it is time, and says the status at most once a second. */
void cli_notify_progress(cli_notify *notify, const char *status);

#endif
