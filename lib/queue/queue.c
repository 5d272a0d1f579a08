#include "queue/queue.h"

#include "base/alloc.h"
#include "base/crypto.h"
#include "base/env.h"
#include "base/fail.h"
#include "base/options.h"
#include "queue/inbox.h"
#include "queue/probe.h"
#include "redis/server.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CONNECT_MS = 2000, CALL_MS = 5000, MAX_CONNECTIONS = 4, WORKER_NAME_MAX = 127 };
enum { BLOCKING_CALL_MS = 18000 }; /* the longest wait of a taker, 15 s, and 3 s beyond */

#define IQ_PROTOCOL_VERSION "1"

/* ---- options ---- */

static imgq_status check_worker_name(const char *name, imgq_error *err)
{
    const size_t len = strnlen(name, WORKER_NAME_MAX + 1);
    size_t good = 0;
    while (good < len && name[good] > ' ' && name[good] != 127)
        good++;
    if (len == 0 || len > WORKER_NAME_MAX || good < len)
        return iq_fail(err, IMGQ_E_INVALID, 0, "worker name \"%.130s\": 1 to %d printable characters without blanks",
                       name, (int)WORKER_NAME_MAX);
    return IMGQ_OK;
}

static char *make_worker_name(imgq_env *env)
{
    char host[65] = "", text[WORKER_NAME_MAX + 1], random[9];
    uint8_t bytes[4];
    if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0')
        memcpy(host, "host", 5);
    for (char *p = host; *p != '\0'; p++) {
        if (*p <= ' ' || *p == 127)
            *p = '_';
    }
    iq_random(bytes, sizeof bytes);
    iq_hex(random, bytes, sizeof bytes);
    snprintf(text, sizeof text, "%s-%ld-%s", host, (long)getpid(), random);
    return iq_strdup(env, text);
}

static void make_reply_id(imgq_queue *queue)
{
    static const uint8_t nobody[IQ_RID_SIZE];
    iq_random(queue->worker_id, sizeof queue->worker_id);
    do {
        iq_random(queue->rid, sizeof queue->rid);
    } while (memcmp(queue->rid, nobody, sizeof nobody) == 0);
}

static imgq_status set_owner(imgq_queue *queue, const char *token, imgq_error *err)
{
    uint8_t digest[32];
    if (token == NULL || token[0] == '\0')
        return IMGQ_OK;
    const imgq_status status = iq_sha256_of(token, strlen(token), digest, err);
    if (status != IMGQ_OK)
        return status;
    memcpy(queue->owner, digest, IQ_OWNER_SIZE);
    queue->owner_len = IQ_OWNER_SIZE;
    return IMGQ_OK;
}

static imgq_status set_names(imgq_queue *queue, const imgq_queue_options *options, imgq_error *err)
{
    const char *name = options->name != NULL ? options->name : "default";
    imgq_status status = IMGQ_OK;
    if (options->import_list != NULL) {
        name = options->import_list;
        status = iq_keys_of_list(&queue->keys, name, err);
    } else {
        status = iq_keys_of_queue(&queue->keys, name, 0, err);
    }
    if (status == IMGQ_OK && options->worker_name != NULL)
        status = check_worker_name(options->worker_name, err);
    if (status != IMGQ_OK)
        return status;
    queue->meta = iq_key_meta(&queue->keys);
    queue->slot = iq_key_slot(&queue->keys);
    queue->name = iq_strdup(queue->env, name);
    queue->import_list = options->import_list != NULL ? iq_strdup(queue->env, name) : NULL;
    queue->worker_name =
        options->worker_name != NULL ? iq_strdup(queue->env, options->worker_name) : make_worker_name(queue->env);
    if (queue->name == NULL || queue->worker_name == NULL ||
        (options->import_list != NULL && queue->import_list == NULL))
        return iq_fail_nomem(err, strlen(name));
    return IMGQ_OK;
}

static imgq_status set_options(imgq_queue *queue, const imgq_queue_options *given, imgq_error *err)
{
    const uint32_t every_role = IMGQ_ROLE_READER | IMGQ_ROLE_PRODUCER | IMGQ_ROLE_WORKER | IMGQ_ROLE_OPERATOR;
    imgq_queue_options *options = &queue->options;
    *options = *given;
    if (options->roles == 0)
        options->roles = IMGQ_ROLE_PRODUCER;
    if ((options->roles & ~every_role) != 0)
        return iq_fail(err, IMGQ_E_INVALID, 0, "roles 0x%x: only IMGQ_ROLE_... bits", (unsigned)options->roles);
    if (options->connect_ms == 0)
        options->connect_ms = CONNECT_MS;
    if (options->call_ms == 0)
        options->call_ms = CALL_MS;
    if (options->max_connections == 0)
        options->max_connections = MAX_CONNECTIONS;
    if (options->max_connections > IQ_CONN_POOL_MAX)
        return iq_fail(err, IMGQ_E_INVALID, 0, "%u connections, at most %d", (unsigned)options->max_connections,
                       (int)IQ_CONN_POOL_MAX);
    make_reply_id(queue);
    imgq_status status = set_names(queue, given, err);
    if (status == IMGQ_OK)
        status = set_owner(queue, given->owner_token, err);
    /* What the caller lent ends with the call that opens. */
    options->name = options->owner_token = options->username = options->password = options->client_name = NULL;
    options->worker_name = options->import_list = options->ca_file = NULL;
    return status;
}

/* ---- connections ---- */

static imgq_status open_lines(imgq_queue *queue, const char *url_text, const imgq_queue_options *given, imgq_error *err)
{
    iq_url url = {0};
    iq_conn_options options = {.username = given->username,
                               .password = given->password,
                               .client_name = given->client_name,
                               .connect_ms = queue->options.connect_ms,
                               .call_ms = queue->options.call_ms,
                               .interrupt = &queue->interrupt};
    /* Two of the granted connections are the inbox's, or a taker's blocking one and its keeper's. */
    const uint32_t granted = queue->options.max_connections;
    const size_t max[IQ_LINE_COUNT] = {[IQ_LINE_COMMAND] = granted > 3 ? granted - 2 : 1,
                                       [IQ_LINE_BLOCKING] =
                                           queue->import_list != NULL ? 2 : 1, /* tokens, and the list's next item */
                                       [IQ_LINE_KEEPER] = 1};
    imgq_status status = iq_url_parse(queue->env, url_text, &url, err);
    for (size_t i = 0; status == IMGQ_OK && i < IQ_LINE_COUNT; i++) {
        /* A taker's wait is answered when it ends, and not a byte moves before. */
        options.call_ms = i == IQ_LINE_BLOCKING ? BLOCKING_CALL_MS : queue->options.call_ms;
        status = iq_conn_pool_open(queue->env, &url, &options, max[i], &queue->lines[i], err);
    }
    options.call_ms = queue->options.call_ms;
    if (status == IMGQ_OK)
        status = iq_inbox_open(queue, &url, &options, &queue->inbox, err);
    iq_url_release(queue->env, &url);
    return status;
}

/* ---- the server and the queue's version ---- */

static imgq_status check_server(imgq_queue *queue, iq_deadline deadline, iq_server_info *info, imgq_error *err)
{
    iq_conn *conn = NULL;
    imgq_status status = iq_conn_pool_take(queue->lines[IQ_LINE_COMMAND], deadline, &conn, err);
    if (status != IMGQ_OK)
        return status;
    status = iq_server_ask(conn, deadline, info, err);
    if (status == IMGQ_OK)
        status = iq_server_require(info, iq_conn_where(conn), queue->options.allow_eviction != 0, err);
    iq_conn_pool_give(queue->lines[IQ_LINE_COMMAND], conn);
    return status;
}

static void add_meta_command(const imgq_queue *queue, iq_commands *commands, const char *name, const char *field)
{
    iq_commands_add(commands, name);
    iq_commands_bytes(commands, queue->meta.text, queue->meta.len);
    iq_commands_text(commands, field);
}

static imgq_status check_version(imgq_queue *queue, const iq_server_info *info, iq_deadline deadline, imgq_error *err)
{
    iq_commands commands;
    iq_reply *replies[4] = {NULL};
    const iq_request request = {.line = IQ_LINE_COMMAND, .deadline = deadline};
    iq_commands_init(&commands, queue->env);
    /* Asked first as well: a server at maxmemory refuses HSETNX even where there is nothing to set. */
    add_meta_command(queue, &commands, "HGET", "ver");
    add_meta_command(queue, &commands, "HSETNX", "ver");
    iq_commands_text(&commands, IQ_PROTOCOL_VERSION);
    add_meta_command(queue, &commands, "HGET", "ver");
    if (info->maxmemory > 0) {
        add_meta_command(queue, &commands, "HSETNX", "xb"); /* the first to come says how much payload may wait */
        iq_commands_uint(&commands, info->maxmemory / 4);
    }
    imgq_status status = iq_queue_run(queue, &commands, &request, replies, err);
    if (status == IMGQ_OK && !iq_reply_is(replies[0], IQ_PROTOCOL_VERSION)) {
        status = iq_queue_reply_check(replies[1], "open the queue", err);
        if (status == IMGQ_OK)
            status = iq_queue_reply_check(replies[2], "open the queue", err);
        if (status == IMGQ_OK && !iq_reply_is(replies[2], IQ_PROTOCOL_VERSION))
            status = iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "queue %s has protocol version %.20s, this library speaks %s",
                             queue->name, replies[2]->text, IQ_PROTOCOL_VERSION);
    }
    iq_queue_free_replies(replies, 4);
    iq_commands_release(&commands);
    return status;
}

static imgq_status open_inside(imgq_queue *queue, const char *url, const imgq_queue_options *options, imgq_error *err)
{
    imgq_status status = set_options(queue, options, err);
    if (status == IMGQ_OK)
        status = iq_interrupt_open(&queue->interrupt, err);
    if (status == IMGQ_OK)
        status = open_lines(queue, url, options, err);
    if (status != IMGQ_OK)
        return status;
    const iq_deadline deadline = iq_queue_deadline(queue);
    iq_server_info info;
    status = check_server(queue, deadline, &info, err);
    if (status == IMGQ_OK)
        status = iq_queue_probe(queue, deadline, err);
    if (status == IMGQ_OK)
        status = check_version(queue, &info, deadline, err);
    return status;
}

imgq_status imgq_queue_open(imgq_env *env, const char *url, const imgq_queue_options *options, imgq_queue **out,
                            imgq_error *err)
{
    imgq_queue_options given;
    *out = NULL;
    if (env == NULL || url == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "open a queue without %s", env == NULL ? "an env" : "a URL");
    imgq_status status = iq_options_copy(&given, sizeof given, options, err);
    if (status != IMGQ_OK)
        return status;
    imgq_queue *queue = iq_alloc_array(env, 1, sizeof *queue);
    if (queue == NULL)
        return iq_fail_nomem(err, sizeof *queue);
    queue->env = iq_env_hold(env);
    queue->interrupt.fd = -1;
    if (pthread_mutex_init(&queue->lock, NULL) != 0) {
        iq_free(env, queue);
        imgq_env_destroy(env);
        return iq_fail_nomem(err, sizeof queue->lock);
    }
    status = open_inside(queue, url, &given, err);
    if (status != IMGQ_OK)
        imgq_queue_close(queue);
    else
        *out = queue;
    return status;
}

void imgq_queue_close(imgq_queue *queue)
{
    if (queue == NULL)
        return;
    imgq_env *env = queue->env;
    /* Giving back what was taken needs a connection that is not interrupted. */
    if (queue->interrupt.fd >= 0)
        iq_interrupt_clear(&queue->interrupt);
    if (queue->taker_close != NULL)
        queue->taker_close(queue);
    iq_inbox_close(queue->inbox);
    for (size_t i = 0; i < IQ_LINE_COUNT; i++)
        iq_conn_pool_close(queue->lines[i]);
    iq_interrupt_close(&queue->interrupt);
    iq_free(env, queue->name);
    iq_free(env, queue->import_list);
    iq_free(env, queue->worker_name);
    pthread_mutex_destroy(&queue->lock);
    iq_free(env, queue);
    imgq_env_destroy(env);
}

void imgq_queue_interrupt(imgq_queue *queue)
{
    iq_interrupt_set(&queue->interrupt);
}

void imgq_queue_resume_calls(imgq_queue *queue)
{
    iq_interrupt_clear(&queue->interrupt);
}

const char *imgq_queue_name(const imgq_queue *queue)
{
    return queue->name;
}

const char *imgq_queue_worker_name(const imgq_queue *queue)
{
    return queue->worker_name;
}

void imgq_queue_get_traffic(const imgq_queue *queue, uint64_t *commands, uint64_t *round_trips)
{
    uint64_t all_commands = 0, all_trips = 0, some = 0, trips = 0;
    for (size_t i = 0; i < IQ_LINE_COUNT; i++) {
        iq_conn_pool_get_traffic(queue->lines[i], &some, &trips);
        all_commands += some;
        all_trips += trips;
    }
    iq_inbox_get_traffic(queue->inbox, &some, &trips);
    if (commands != NULL)
        *commands = all_commands + some;
    if (round_trips != NULL)
        *round_trips = all_trips + trips;
}
