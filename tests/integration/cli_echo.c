#include "integration/cli_echo.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "integration/queue_peer.h"

enum { HELD_MAX = 32, LABEL_MAX = 200 };

struct echo {
    pthread_t thread;
    imgq_queue *queue;
    atomic_bool stop;
    atomic_size_t most_held;
    size_t answered;
};

static bool is_text(const peer_job *job)
{
    for (size_t i = 0; i < job->payload_len; i++)
        if (!isprint(job->payload[i]) || job->payload[i] == '"' || job->payload[i] == '\\')
            return false;
    return job->payload_len <= LABEL_MAX;
}

static int answer(imgq_queue *queue, peer_job *job)
{
    char text[LABEL_MAX + 1], json[LABEL_MAX + 200];
    if (is_text(job))
        snprintf(text, sizeof text, "%.*s", (int)job->payload_len, (const char *)job->payload);
    else
        snprintf(text, sizeof text, "%zu bytes", job->payload_len);
    if (strncmp(text, "bad", 3) == 0)
        return peer_fail(queue, job, 'P', 13, text);
    snprintf(json, sizeof json,
             "{\"schema\":1,\"top\":[[7,\"%s\",0.5]],\"model\":\"echo\",\"model_hash\":\"00\",\"profile\":\"keras\","
             "\"engine\":\"none\",\"precision\":\"highest\",\"worker\":\"echo\",\"attempt\":1}",
             text);
    return peer_done(queue, job, json);
}

static void *work(void *user)
{
    echo *worker = user;
    peer_job jobs[HELD_MAX];
    while (!atomic_load(&worker->stop)) {
        const size_t count = peer_take(worker->queue, jobs, HELD_MAX);
        if (count > atomic_load(&worker->most_held))
            atomic_store(&worker->most_held, count);
        for (size_t i = count; i-- > 0;)
            worker->answered += answer(worker->queue, &jobs[i]) > 0;
        if (count == 0)
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return NULL;
}

echo *echo_start(const char *url, const char *queue)
{
    echo *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        abort();
    worker->queue = peer_open(url, queue, NULL);
    if (pthread_create(&worker->thread, NULL, work, worker) != 0)
        abort();
    return worker;
}

size_t echo_most_held(const echo *worker)
{
    return atomic_load(&worker->most_held);
}

size_t echo_stop(echo *worker)
{
    atomic_store(&worker->stop, true);
    pthread_join(worker->thread, NULL);
    const size_t answered = worker->answered;
    peer_close(worker->queue);
    free(worker);
    return answered;
}
