/* What the programs about queues share: one private server, one env, handles. */
#ifndef TEST_QUEUE_SUITE_H
#define TEST_QUEUE_SUITE_H

#include <imgq/queue.h>

#include "integration/queue_peer.h"
#include "support/check.h"
#include "support/redis_fixture.h"

extern redis_fixture *suite_redis;
extern imgq_env *suite_env; /* its warnings are counted in suite_warnings */
extern int suite_warnings;

/** main() of a program: a server with these lines of config, then the tests. */
int suite_main(int argc, char **argv, const char *name, const char *config, const check_test *tests, size_t count);
#define SUITE_MAIN(name, config, tests)                                                                                \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        return suite_main(argc, argv, name, config, tests, sizeof tests / sizeof *tests);                              \
    }

/** A handle on queue `name` of the suite's server; ends the program if there is none. @param options name is set here
 */
imgq_queue *suite_open(const char *name, const imgq_queue_options *options);
imgq_queue *suite_open_plain(const char *name);
imgq_queue *suite_peer(const char *name);
/** A job of these bytes; ends the program if it is refused. */
imgq_id suite_submit(imgq_queue *queue, const char *payload, const imgq_submit_options *options);
imgq_id suite_id(const char *text);
/** Awaits this job for 20 s and checks how it ended; the message may be NULL: not compared. */
void suite_expect(imgq_queue *queue, const imgq_id *id, imgq_status status, const char *message);
/** redis_fixture_ask(), and what it must answer (NULL: anything but an error). */
void suite_ask(const char *want, const char *format, ...) __attribute__((format(printf, 2, 3)));
void suite_sleep_ms(int ms);

#endif
