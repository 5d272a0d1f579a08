/* A private redis-server for one test program: on a Unix socket and a loopback port, in a temporary folder of its own.
 * Server and folder go away with redis_fixture_stop(), and also when the test crashes or is killed. */
#ifndef TEST_REDIS_FIXTURE_H
#define TEST_REDIS_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct redis_fixture redis_fixture;

/** Starts redis-server (environment IMGQ_REDIS_SERVER, default the one on PATH) and waits until it answers; ends the
 * program with a message if it does not.
 *  @param config  lines for redis.conf over the defaults (no persistence), "appendonly yes\nappendfsync always"; may be
 * NULL
 *  @return owned, redis_fixture_stop() */
redis_fixture *redis_fixture_start(const char *config);
/** NULL is a no-op. */
void redis_fixture_stop(redis_fixture *fixture);

/** Borrowed: "unix:///…/redis.sock", "redis://127.0.0.1:PORT", the socket's path, the folder. The same after a restart.
 */
const char *redis_fixture_url(const redis_fixture *fixture);
const char *redis_fixture_tcp_url(const redis_fixture *fixture);
const char *redis_fixture_socket(const redis_fixture *fixture);
const char *redis_fixture_folder(const redis_fixture *fixture);
int redis_fixture_port(const redis_fixture *fixture);
pid_t redis_fixture_pid(const redis_fixture *fixture);

/** kill -9, and wait for its end. */
void redis_fixture_kill(redis_fixture *fixture);
/** Ask it to shut down (saves what its config says), and wait for its end. */
void redis_fixture_shut_down(redis_fixture *fixture);
/** After one of the two: start it again on the same folder, socket and port; waits until it answers PING. */
void redis_fixture_restart(redis_fixture *fixture);
/** SIGSTOP and SIGCONT. */
void redis_fixture_pause(redis_fixture *fixture);
void redis_fixture_resume(redis_fixture *fixture);

/** Sends one line as redis-cli would take it ("CONFIG SET maxmemory 1mb"; no quoting) on a connection of its own, with
 *  `requirepass` of the config. @return the reply: text itself, "OK", "(integer) 3", "-ERR …", arrays as their wire
 * form; static in the calling thread until its next call */
const char *redis_fixture_ask(redis_fixture *fixture, const char *line);
/** The number behind "key:" or "key=" in the reply to "INFO section"; -1 if it is not there. */
long long redis_fixture_info(redis_fixture *fixture, const char *section, const char *key);

#endif
