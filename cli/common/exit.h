/* What the programs end with (docs/errors.md). */
#ifndef CLI_COMMON_EXIT_H
#define CLI_COMMON_EXIT_H

#include <stddef.h>

#include <imgq/status.h>

enum {
    CLI_EXIT_OK = 0,      /* all done */
    CLI_EXIT_SOME = 1,    /* some images failed */
    CLI_EXIT_USAGE = 2,   /* the command line is wrong */
    CLI_EXIT_REFUSED = 3, /* every input was refused: do not retry */
    CLI_EXIT_TIMEOUT = 4, /* a deadline passed */
    CLI_EXIT_BUSY = 5,    /* queue full: later */
    CLI_EXIT_REDIS = 6,   /* Redis is out of reach */
    CLI_EXIT_CONFIG = 7   /* configuration or model is wrong */
};

/** How many inputs ended in which way. Zeroed is empty. */
typedef struct cli_outcome {
    size_t total;
    size_t by_code[8]; /* CLI_EXIT_... of each input */
} cli_outcome;

/** One input more. @param code CLI_EXIT_...; what is none of them counts as CLI_EXIT_SOME */
void cli_outcome_add(cli_outcome *outcome, int code);
/** Exit code of one input that failed so: as imgq_status_exit_code(), and 1 where that is a usage error. */
int cli_outcome_code_of(imgq_status status);
/** All done: 0. Else the first that was seen of 7, 6, 4, 5; else 3 if every input was refused, else 1. */
int cli_outcome_exit(const cli_outcome *outcome);

#endif
