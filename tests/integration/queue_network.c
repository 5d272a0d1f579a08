/* A network that cuts anywhere, swallows, drops publications and crawls. */
#include "integration/queue_suite.h"

#include <imgq/admin.h>
#include <imgq/reference.h>

#include "support/faulty_proxy.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static faulty_proxy *proxy;
static char large[20001];

static imgq_queue *open_through(const char *name, imgq_queue_options options)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    if (proxy == NULL) {
        proxy = faulty_proxy_start(redis_fixture_socket(suite_redis));
        memset(large, 'l', sizeof large - 1);
    }
    options.name = name;
    if (imgq_queue_open(suite_env, faulty_proxy_url(proxy), &options, &queue, &err) != IMGQ_OK) {
        fprintf(stderr, "open through the proxy: %s\n", err.message);
        abort();
    }
    return queue;
}

static imgq_queue *open_plain_through(const char *name)
{
    const imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    return open_through(name, options);
}

static uint64_t submitted(imgq_queue *queue)
{
    imgq_error err;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    return stats.submitted;
}

/* A producer's life with one cut after so many bytes of answers: as if there had been none. The opening is before it,
 * whose failure is told and not repeated. */
static void live(imgq_queue *peer, size_t round, int64_t bytes)
{
    imgq_error err;
    peer_job job;
    imgq_queue *queue = open_plain_through("cuts");
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    imgq_id own, ids[3];
    const imgq_payload pair[2] = {{"second", 6}, {large, 20000}};
    const uint64_t before = submitted(peer);
    snprintf(own.text, sizeof own.text, "cut-%zu", round);
    options.id = &own;
    faulty_proxy_cut_replies_after(proxy, bytes);
    CHECK_OK(imgq_queue_submit(queue, "first", 5, &options, &ids[0], &err));
    CHECK_OK(imgq_queue_submit_many(queue, pair, 2, NULL, &ids[1], NULL, &err));
    CHECK_EQ_SIZE(3, submitted(peer) - before); /* no repeat made another */
    while (peer_take(peer, &job, 1) == 1) {
        if (strcmp(job.id.text, ids[2].text) == 0)
            CHECK(job.payload_len == 20000 && memcmp(job.payload, large, 20000) == 0);
        CHECK_EQ_INT(1, peer_answer(peer, &job));
    }
    for (int i = 0; i < 3; i++)
        suite_expect(queue, &ids[i], IMGQ_OK, NULL);
    faulty_proxy_cut_replies_after(proxy, -1);
    imgq_queue_close(queue);
}

static void a_connection_cut_at_any_reply_byte_costs_no_job_and_makes_none(void)
{
    imgq_queue *peer = suite_peer("cuts");
    imgq_queue_close(open_plain_through("cuts"));
    const uint64_t before = faulty_proxy_cuts(proxy);
    size_t round = 0;
    for (int64_t bytes = 0; bytes < 800; bytes += 11)
        live(peer, round++, bytes);
    CHECK(faulty_proxy_cuts(proxy) - before > 20);
    peer_close(peer);
}

static void a_connection_cut_at_any_request_byte_costs_no_job_and_makes_none(void)
{
    imgq_queue *peer = suite_peer("request-cuts");
    uint64_t cuts = 0;
    for (int64_t bytes = 0; bytes < 22000; bytes += bytes < 800 ? 41 : 1777) {
        imgq_error err;
        imgq_id id;
        peer_job job;
        imgq_queue *queue = open_plain_through("request-cuts");
        const uint64_t before = faulty_proxy_cuts(proxy);
        faulty_proxy_cut_requests_after(proxy, bytes);
        CHECK_OK(imgq_queue_submit(queue, large, 20000, NULL, &id, &err));
        cuts += faulty_proxy_cuts(proxy) - before;
        faulty_proxy_cut_requests_after(proxy, -1);
        peer_take_one(peer, &job);
        CHECK_EQ_STR(id.text, job.id.text);
        CHECK(job.payload_len == 20000 && memcmp(job.payload, large, 20000) == 0);
        CHECK_EQ_INT(1, peer_answer(peer, &job));
        CHECK_EQ_SIZE(0, peer_take(peer, &job, 1));
        suite_expect(queue, &id, IMGQ_OK, NULL);
        imgq_queue_close(queue);
    }
    CHECK(cuts > 20);
    peer_close(peer);
}

static void every_publication_dropped_on_the_way_still_each_await_ends(void)
{
    enum { JOBS = 200 };
    imgq_error err;
    imgq_id ids[JOBS];
    static imgq_payload payloads[JOBS];
    imgq_queue *queue = open_plain_through("dropped");
    peer_worker *worker = peer_start(redis_fixture_url(suite_redis), "dropped");
    for (int i = 0; i < JOBS; i++)
        payloads[i] = (imgq_payload){"x", 1};
    faulty_proxy_drop_messages(proxy, true);
    CHECK_OK(imgq_queue_submit_many(queue, payloads, JOBS, NULL, ids, NULL, &err));
    for (int i = 0; i < JOBS; i++)
        suite_expect(queue, &ids[i], IMGQ_OK, NULL);
    faulty_proxy_drop_messages(proxy, false);
    CHECK(faulty_proxy_dropped_messages(proxy) > 0);
    CHECK_EQ_SIZE(JOBS, peer_stop(worker));
    imgq_queue_close(queue);
}

static void connections_reset_again_and_again_lose_no_answer(void)
{
    imgq_queue *queue = open_plain_through("resets"), *peer = suite_peer("resets");
    for (int i = 0; i < 15; i++) {
        peer_job job;
        const imgq_id id = suite_submit(queue, "x", NULL);
        faulty_proxy_break_all(proxy);
        peer_take_one(peer, &job);
        CHECK_EQ_INT(1, peer_answer(peer, &job));
        if (i % 2 == 0)
            faulty_proxy_break_all(proxy);
        suite_expect(queue, &id, IMGQ_OK, NULL);
    }
    peer_close(peer);
    imgq_queue_close(queue);
}

static void a_network_that_swallows_everything_lets_each_call_end(void)
{
    imgq_error err;
    imgq_result *result = NULL;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.call_ms = options.connect_ms = 200;
    imgq_queue *queue = open_through("hole", options), *peer = suite_peer("hole");
    const imgq_id id = suite_submit(queue, "x", NULL);
    faulty_proxy_black_hole(proxy, true);
    const imgq_status status = imgq_queue_await(queue, &id, 1, 500, &result, &err);
    CHECK(status == IMGQ_E_TIMEOUT || status == IMGQ_E_UNAVAILABLE);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, imgq_queue_submit(queue, "y", 1, NULL, NULL, &err));
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, imgq_queue_get_stats(queue, &stats, &err));
    faulty_proxy_black_hole(proxy, false);
    peer_job job;
    peer_take_one(peer, &job);
    CHECK_EQ_STR(id.text, job.id.text);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
    /* The swallowing one is still open; silence ends it, and the next is asked. */
    suite_expect(queue, &id, IMGQ_OK, NULL);
    peer_close(peer);
    imgq_queue_close(queue);
}

/* ---- a thin line: 64 KiB each 20 ms towards the server ---- */

enum { RELAY_MAX = 8, RELAY_PIECE = 65536 };

typedef struct relay {
    pthread_t thread;
    atomic_bool stop;
    int listener, client[RELAY_MAX], server[RELAY_MAX];
    size_t count;
    struct sockaddr_un addr, target;
    char url[160];
} relay;

static int dial(const struct sockaddr_un *addr)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof *addr) != 0)
        abort();
    return fd;
}

static bool pass_on(int from, int to)
{
    static char piece[RELAY_PIECE];
    const ssize_t got = recv(from, piece, sizeof piece, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN;
    for (ssize_t sent = 0, step; sent < got; sent += step) {
        step = send(to, piece + sent, (size_t)(got - sent), MSG_NOSIGNAL);
        if (step <= 0)
            return false;
    }
    if (got == RELAY_PIECE)
        suite_sleep_ms(20);
    return got > 0;
}

static void *run_relay(void *user)
{
    relay *r = user;
    while (!atomic_load(&r->stop)) {
        struct pollfd fds[1 + 2 * RELAY_MAX] = {{.fd = r->listener, .events = POLLIN}};
        for (size_t i = 0; i < r->count; i++) {
            fds[1 + 2 * i] = (struct pollfd){.fd = r->client[i], .events = POLLIN};
            fds[2 + 2 * i] = (struct pollfd){.fd = r->server[i], .events = POLLIN};
        }
        (void)poll(fds, 1 + 2 * r->count, 20);
        for (size_t i = 0; i < r->count; i++) {
            if (r->client[i] >= 0 && (!pass_on(r->client[i], r->server[i]) || !pass_on(r->server[i], r->client[i]))) {
                close(r->client[i]);
                close(r->server[i]);
                r->client[i] = r->server[i] = -1;
            }
        }
        if ((fds[0].revents & POLLIN) != 0 && r->count < RELAY_MAX) {
            r->client[r->count] = accept(r->listener, NULL, NULL);
            r->server[r->count++] = dial(&r->target);
        }
    }
    return NULL;
}

static relay *start_relay(void)
{
    relay *r = calloc(1, sizeof *r);
    r->addr.sun_family = r->target.sun_family = AF_UNIX;
    snprintf(r->addr.sun_path, sizeof r->addr.sun_path, "%.80s/relay", redis_fixture_folder(suite_redis));
    snprintf(r->target.sun_path, sizeof r->target.sun_path, "%.100s", redis_fixture_socket(suite_redis));
    snprintf(r->url, sizeof r->url, "unix://%s", r->addr.sun_path);
    r->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(r->listener, (struct sockaddr *)&r->addr, sizeof r->addr) != 0 || listen(r->listener, 16) != 0 ||
        pthread_create(&r->thread, NULL, run_relay, r) != 0)
        abort();
    return r;
}

static void stop_relay(relay *r)
{
    atomic_store(&r->stop, true);
    pthread_join(r->thread, NULL);
    for (size_t i = 0; i < r->count; i++) {
        if (r->client[i] >= 0) {
            close(r->client[i]);
            close(r->server[i]);
        }
    }
    close(r->listener);
    unlink(r->addr.sun_path);
    free(r);
}

static void a_large_payload_that_crawls_is_not_cut_while_it_moves(void)
{
    enum { SIZE = 4 << 20 };
    imgq_error err;
    imgq_id id;
    peer_job job;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    uint8_t *payload = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        payload[i] = (uint8_t)(i * 7);
    relay *thin = start_relay();
    options.call_ms = 600; /* together less than the 64 x 20 ms that the way takes at least */
    options.connect_ms = 400;
    options.name = "crawl";
    imgq_queue *queue = NULL, *peer = suite_peer("crawl");
    if (!CHECK_OK(imgq_queue_open(suite_env, thin->url, &options, &queue, &err)))
        return;
    CHECK_OK(imgq_queue_submit(queue, payload, SIZE, NULL, &id, &err));
    peer_take_one(peer, &job);
    CHECK_EQ_STR(id.text, job.id.text);
    CHECK(job.payload_len == SIZE && memcmp(job.payload, payload, SIZE) == 0);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
    suite_expect(queue, &id, IMGQ_OK, NULL);
    free(payload);
    peer_close(peer);
    imgq_queue_close(queue);
    stop_relay(thin);
}

/* The item may be in the list though the answer to its push was lost: who pushed it must know what to clean up. */
static void a_push_to_the_reference_whose_answer_is_lost_tells_its_uuid(void)
{
    static const float tensor[3] = {1, 2, 3};
    imgq_error err;
    imgq_reference *reference = NULL;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_id id = {{0}};
    uint64_t length = 0;
    options.name = "lost_pushes";
    if (!CHECK_OK(imgq_reference_open(suite_env, faulty_proxy_url(proxy), &options, &reference, &err)))
        return;
    faulty_proxy_cut_replies_after(proxy, 0);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, imgq_reference_push(reference, tensor, 3, &id, &err));
    faulty_proxy_cut_replies_after(proxy, -1);
    CHECK_OK(imgq_reference_length(reference, &length, &err));
    CHECK_EQ_SIZE(1, length);
    CHECK_EQ_SIZE(36, strlen(id.text));
    CHECK_CONTAINS(id.text, redis_fixture_ask(suite_redis, "LINDEX lost_pushes 0"));
    imgq_reference_close(reference);
}

static void the_proxy_goes(void)
{
    faulty_proxy_stop(proxy);
    proxy = NULL;
}

static const check_test tests[] = {
    CHECK_TEST(a_connection_cut_at_any_reply_byte_costs_no_job_and_makes_none),
    CHECK_TEST(a_connection_cut_at_any_request_byte_costs_no_job_and_makes_none),
    CHECK_TEST(every_publication_dropped_on_the_way_still_each_await_ends),
    CHECK_TEST(connections_reset_again_and_again_lose_no_answer),
    CHECK_TEST(a_network_that_swallows_everything_lets_each_call_end),
    CHECK_TEST(a_large_payload_that_crawls_is_not_cut_while_it_moves),
    CHECK_TEST(a_push_to_the_reference_whose_answer_is_lost_tells_its_uuid),
    CHECK_TEST(the_proxy_goes),
};
SUITE_MAIN("network", NULL, tests)
