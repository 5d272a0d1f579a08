/* Which exit code stands for many endings. */
#include "cli/common/exit.h"

int cli_outcome_code_of(imgq_status status)
{
    const int code = imgq_status_exit_code(status);
    return code == CLI_EXIT_USAGE ? CLI_EXIT_SOME : code;
}

void cli_outcome_add(cli_outcome *outcome, int code)
{
    const size_t count = sizeof outcome->by_code / sizeof *outcome->by_code;
    outcome->total++;
    outcome->by_code[code >= 0 && (size_t)code < count && code != CLI_EXIT_USAGE ? code : CLI_EXIT_SOME]++;
}

int cli_outcome_exit(const cli_outcome *outcome)
{
    static const int first[] = {CLI_EXIT_CONFIG, CLI_EXIT_REDIS, CLI_EXIT_TIMEOUT, CLI_EXIT_BUSY};
    if (outcome->by_code[CLI_EXIT_OK] == outcome->total)
        return CLI_EXIT_OK;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        if (outcome->by_code[first[i]] > 0)
            return first[i];
    return outcome->by_code[CLI_EXIT_REFUSED] == outcome->total ? CLI_EXIT_REFUSED : CLI_EXIT_SOME;
}
