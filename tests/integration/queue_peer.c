#include "integration/queue_peer.h"

#include "base/clock.h"
#include "queue/queue.h"
#include "queue/record.h"
#include "queue/scripts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static _Noreturn void die(const char *what, const imgq_error *err)
{
    fprintf(stderr, "test peer: %s: %s\n", what, err != NULL ? err->message : "");
    abort();
}

imgq_queue *peer_open(const char *url, const char *name, const imgq_queue_options *options)
{
    imgq_error err;
    imgq_env *env = NULL;
    imgq_queue *queue = NULL;
    imgq_queue_options own = IMGQ_QUEUE_OPTIONS_INIT;
    if (options != NULL)
        own = *options;
    own.name = name;
    if (imgq_env_create(NULL, &env, &err) != IMGQ_OK || imgq_queue_open(env, url, &own, &queue, &err) != IMGQ_OK)
        die("open", &err);
    imgq_env_destroy(env);
    return queue;
}

void peer_close(imgq_queue *peer)
{
    imgq_queue_close(peer);
}

static iq_reply *call(imgq_queue *peer, iq_commands *commands, const char *what)
{
    imgq_error err;
    iq_reply *reply = NULL;
    const iq_request request = {
        .line = IQ_LINE_COMMAND, .flags = IQ_CALL_REPEAT_BUSY, .deadline = iq_deadline_after_ms(30000)};
    if (iq_queue_call(peer, commands, &request, what, &reply, &err) != IMGQ_OK)
        die(what, &err);
    iq_commands_release(commands);
    return reply;
}

static void add_worker(imgq_queue *peer, iq_commands *commands)
{
    char name[40];
    memcpy(name, "peer", 4);
    memcpy(name + 4, peer->worker_id, IQ_WORKER_ID_SIZE);
    iq_commands_copy(commands, name, 4 + IQ_WORKER_ID_SIZE);
}

static void keep(peer_job *job, const iq_reply *id, const iq_reply *fence, const iq_reply *record)
{
    iq_record_view view;
    imgq_error err;
    memset(job, 0, sizeof *job);
    snprintf(job->id.text, sizeof job->id.text, "%s", id->text);
    snprintf(job->fence, sizeof job->fence, "%s", fence->text);
    job->record = malloc(record->len + 1);
    if (job->record == NULL || iq_record_decode(&view, record->text, record->len, &err) != IMGQ_OK)
        die("record", &err);
    memcpy(job->record, record->text, record->len);
    job->len = record->len;
    job->payload = job->record + (view.body - (const uint8_t *)record->text);
    job->payload_len = view.body_len;
}

/* What travelled as its head only is fetched by itself. */
static void keep_large(imgq_queue *peer, peer_job *job)
{
    iq_commands commands;
    const iq_key key = iq_key_job(&peer->keys, job->id.text);
    iq_record_view view;
    if (iq_record_decode(&view, job->record, job->len, NULL) != IMGQ_OK || view.head.payload_len == view.body_len)
        return;
    iq_commands_init(&commands, peer->env);
    iq_commands_add(&commands, "GET");
    iq_commands_bytes(&commands, key.text, key.len);
    iq_reply *reply = call(peer, &commands, "GET");
    peer_job whole;
    const iq_reply id = {.text = job->id.text}, fence = {.text = job->fence};
    keep(&whole, &id, &fence, reply);
    iq_reply_free(reply);
    free(job->record);
    *job = whole;
}

static _Atomic uint64_t next_nonce = 1;

size_t peer_take(imgq_queue *peer, peer_job *jobs, size_t max)
{
    iq_commands commands;
    iq_commands_init(&commands, peer->env);
    iq_queue_add_script(peer, &commands, &iq_lua_take);
    add_worker(peer, &commands);
    iq_commands_text(&commands, "{\"peer\":true}");
    iq_commands_uint(&commands, atomic_fetch_add(&next_nonce, 1));
    iq_commands_uint(&commands, max);
    iq_commands_uint(&commands, 64u << 20);
    iq_commands_uint(&commands, 30000);
    iq_reply *reply = call(peer, &commands, "take");
    const iq_reply *list = iq_reply_at(reply, 4);
    size_t count = 0;
    for (size_t i = 0; i + 2 < list->count; i += 3)
        keep(&jobs[count++], iq_reply_at(list, i), iq_reply_at(list, i + 1), iq_reply_at(list, i + 2));
    iq_reply_free(reply);
    for (size_t i = 0; i < count; i++)
        keep_large(peer, &jobs[i]);
    return count;
}

void peer_take_one(imgq_queue *peer, peer_job *job)
{
    const iq_deadline deadline = iq_deadline_after_ms(20000);
    while (peer_take(peer, job, 1) == 0) {
        if (iq_deadline_passed(deadline))
            die("nothing to take within 20 s", NULL);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

static int first_code(iq_reply *reply)
{
    int64_t code = -99;
    (void)iq_reply_int(iq_reply_at(reply, 0), &code);
    iq_reply_free(reply);
    return (int)code;
}

int peer_done(imgq_queue *peer, peer_job *job, const char *json)
{
    iq_commands commands;
    iq_commands_init(&commands, peer->env);
    iq_queue_add_script(peer, &commands, &iq_lua_done);
    add_worker(peer, &commands);
    iq_commands_uint(&commands, 0);
    iq_commands_text(&commands, "");
    iq_commands_text(&commands, job->id.text);
    iq_commands_text(&commands, job->fence);
    iq_commands_text(&commands, json);
    const int code = first_code(call(peer, &commands, "done"));
    peer_drop(job);
    return code;
}

int peer_answer(imgq_queue *peer, peer_job *job)
{
    return peer_done(peer, job, "{\"schema\":1,\"top\":[[7,\"label-7\",0.75]],\"model\":\"none\",\"worker\":\"peer\"}");
}

int peer_fail(imgq_queue *peer, peer_job *job, char kind, unsigned code, const char *text)
{
    iq_commands commands;
    const char kinds[2] = {kind, '\0'};
    iq_commands_init(&commands, peer->env);
    iq_queue_add_script(peer, &commands, &iq_lua_fail);
    add_worker(peer, &commands);
    iq_commands_text(&commands, job->id.text);
    iq_commands_text(&commands, job->fence);
    iq_commands_text(&commands, kinds);
    iq_commands_uint(&commands, 0);
    iq_commands_uint(&commands, code);
    iq_commands_text(&commands, text);
    const int answer = first_code(call(peer, &commands, "fail"));
    peer_drop(job);
    return answer;
}

void peer_drop(peer_job *job)
{
    free(job->record);
    job->record = NULL;
}

void peer_end_session(imgq_queue *peer, const imgq_queue *producer)
{
    iq_commands commands;
    const iq_key key = iq_key_session(&producer->keys, producer->rid);
    iq_commands_init(&commands, peer->env);
    iq_commands_add(&commands, "UNLINK");
    iq_commands_bytes(&commands, key.text, key.len);
    iq_reply_free(call(peer, &commands, "UNLINK"));
}

/* ---- a thread that answers ---- */

struct peer_worker {
    pthread_t thread;
    imgq_queue *queue;
    atomic_bool stop;
    size_t answered;
};

static void *work(void *user)
{
    peer_worker *worker = user;
    peer_job jobs[32];
    while (!atomic_load(&worker->stop)) {
        const size_t count = peer_take(worker->queue, jobs, 32);
        for (size_t i = 0; i < count; i++)
            worker->answered += peer_answer(worker->queue, &jobs[i]) == 1;
        if (count == 0)
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return NULL;
}

peer_worker *peer_start(const char *url, const char *name)
{
    peer_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        die("no memory", NULL);
    worker->queue = peer_open(url, name, NULL);
    if (pthread_create(&worker->thread, NULL, work, worker) != 0)
        die("no thread", NULL);
    return worker;
}

size_t peer_stop(peer_worker *worker)
{
    atomic_store(&worker->stop, true);
    pthread_join(worker->thread, NULL);
    const size_t answered = worker->answered;
    peer_close(worker->queue);
    free(worker);
    return answered;
}
