/* A worker for tests of the programs: says as a label what a job's payload is, so that order and identity show. */
#ifndef TEST_CLI_ECHO_H
#define TEST_CLI_ECHO_H

#include <stddef.h>

typedef struct echo echo;

/** A thread that takes up to 32 jobs at a time and answers them last first: the payload's text is the one label, with
 *  probability 0.5. A payload "bad…" fails for good with IMGQ_E_CORRUPT and itself as message; a long one that is no
 *  text is answered by its length, "150528 bytes". */
echo *echo_start(const char *url, const char *queue);
/** How many jobs it held at once, at most. */
size_t echo_most_held(const echo *worker);
/** @return how many it answered */
size_t echo_stop(echo *worker);

#endif
