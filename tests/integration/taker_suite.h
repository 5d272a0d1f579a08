/* What the programs about taken jobs share: one private server, one env, handles that may do everything. */
#ifndef TEST_TAKER_SUITE_H
#define TEST_TAKER_SUITE_H

#include <stdbool.h>

#include <imgq/admin.h>
#include <imgq/queue.h>

#include "support/check.h"
#include "support/redis_fixture.h"

enum { LEASE_MS = 10000 };

extern redis_fixture *taker_redis;
extern imgq_env *taker_env;

/** main() of a program: a server, then the tests. */
int taker_main(int argc, char **argv, const char *name, const check_test *tests, size_t count);
#define TAKER_MAIN(name, tests)                                                                                        \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        return taker_main(argc, argv, name, tests, sizeof tests / sizeof *tests);                                      \
    }

/** A handle on queue `name` for producers, workers and operators. @param given its other options; may be NULL
 *  @return owned */
imgq_queue *taker_open_with(imgq_env *in, const char *name, const imgq_queue_options *given);
imgq_queue *taker_open(const char *name);
imgq_id taker_submit(imgq_queue *queue, const char *text);
/** Takes one, waiting up to 20 s. @return owned; NULL: none came, and the test has failed */
imgq_job *taker_take_one(imgq_queue *queue);
/** Takes, and checks that there is nothing. */
bool taker_finds_nothing(imgq_queue *queue);
/** @param status out @return IMGQ_STATE_... */
int taker_state_of(imgq_queue *queue, const imgq_id *id, imgq_job_status *status);
/** "castle" before "church"; borrows constants only. */
imgq_answer taker_answer(void);
/** As if the lease had ended: the next tick gives the job to somebody else. */
void taker_end_lease(const char *queue, const imgq_id *id);
/** Monotonic. */
double taker_seconds(void);

#endif
