/* imgq-worker as a process of a test: started, watched, signalled; killed with the test. */
#ifndef TEST_WORKER_PROCESS_H
#define TEST_WORKER_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct worker_process worker_process;

enum { WORKER_ARGS_MAX = 32 };

/** "imgq-worker --redis URL args…"; its log goes to a file. @param url NULL: --redis is not given @param args
 *  NULL-terminated @param environment NULL-terminated "NAME=value" to add; may be NULL @return owned, worker_end() */
worker_process *worker_start(const char *url, const char *const *args, const char *const *environment);
/** As worker_start(), and waits until its log says that it is ready; fails the test if it ends before. */
worker_process *worker_start_ready(const char *url, const char *const *args);
pid_t worker_pid(const worker_process *worker);
void worker_signal(worker_process *worker, int signal);
/** Waits for its end, 60 s at the most. @return exit code; 128 + n: killed by signal n; -1: it goes on */
int worker_wait(worker_process *worker);
/** What it has logged so far; static until the next call. */
const char *worker_log(worker_process *worker);
/** Waits until the log has this text, 60 s at the most. */
bool worker_says(worker_process *worker, const char *text);
/** Kills it if it lives, forgets it. NULL is a no-op. */
void worker_end(worker_process *worker);

#endif
