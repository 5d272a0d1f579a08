#include "net/dial.h"
#include "net/sock.h"

#include "support/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static imgq_env *env;

/* ---- listeners ---- */

static int listen_tcp(iq_url *url, int backlog)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof addr;
    char text[64];
    imgq_error err;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
    if (backlog >= 0)
        CHECK(listen(fd, backlog) == 0);
    snprintf(text, sizeof text, "redis://127.0.0.1:%d", ntohs(addr.sin_port));
    CHECK_OK(iq_url_parse(env, text, url, &err));
    return fd;
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    CHECK(getsockopt(fd, level, name, &value, &len) == 0);
    return value;
}

/* ---- dial ---- */

static void a_dialled_socket_has_keepalive_no_delay_and_does_not_outlive_exec(void)
{
    iq_url url;
    imgq_error err;
    int fd;
    const int listener = listen_tcp(&url, 4);
    if (CHECK_OK(iq_dial_connect(&url, 2000, iq_deadline_never(), NULL, &fd, &err))) {
        CHECK_EQ_INT(1, option(fd, SOL_SOCKET, SO_KEEPALIVE));
        CHECK_EQ_INT(15, option(fd, IPPROTO_TCP, TCP_KEEPIDLE));
        CHECK_EQ_INT(5, option(fd, IPPROTO_TCP, TCP_KEEPINTVL));
        CHECK_EQ_INT(3, option(fd, IPPROTO_TCP, TCP_KEEPCNT));
        CHECK_EQ_INT(1, option(fd, IPPROTO_TCP, TCP_NODELAY));
        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
        iq_sock_close(fd);
    }
    close(listener);
    iq_url_release(env, &url);
}

static void a_name_is_looked_up(void)
{
    iq_url url, named;
    imgq_error err;
    int fd;
    char text[64];
    const int listener = listen_tcp(&url, 4);
    snprintf(text, sizeof text, "redis://localhost:%d", url.port);
    CHECK_OK(iq_url_parse(env, text, &named, &err));
    /* localhost may be ::1 first, where nobody listens: the next address has its turn. */
    if (CHECK_OK(iq_dial_connect(&named, 2000, iq_deadline_never(), NULL, &fd, &err)))
        iq_sock_close(fd);
    iq_url_release(env, &named);
    iq_url_release(env, &url);
    close(listener);
}

static void nobody_there_is_unavailable_and_says_where(void)
{
    iq_url url;
    imgq_error err;
    int fd;
    char want[128];
    const int listener = listen_tcp(&url, -1);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, iq_dial_connect(&url, 2000, iq_deadline_never(), NULL, &fd, &err));
    snprintf(want, sizeof want, "connect to 127.0.0.1:%d: Connection refused", url.port);
    CHECK_EQ_STR(want, err.message);
    CHECK_EQ_INT(ECONNREFUSED, err.sys_errno);
    CHECK_EQ_INT(-1, fd);
    iq_url_release(env, &url);
    close(listener);
    CHECK_OK(iq_url_parse(env, "unix:///nonexistent/redis.sock", &url, &err));
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, iq_dial_connect(&url, 2000, iq_deadline_never(), NULL, &fd, &err));
    CHECK_EQ_STR("connect to /nonexistent/redis.sock: No such file or directory", err.message);
    iq_url_release(env, &url);
    CHECK_OK(iq_url_parse(env, "redis://no-such-host.invalid", &url, &err));
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, iq_dial_connect(&url, 2000, iq_deadline_never(), NULL, &fd, &err));
    CHECK_CONTAINS("connect to no-such-host.invalid:6379: ", err.message);
    iq_url_release(env, &url);
}

static void a_silent_address_costs_no_more_than_the_time_out(void)
{
    iq_url url;
    imgq_error err;
    int fd, fillers[8];
    char want[128];
    /* With its backlog full a listener answers no further connect at all. */
    const int listener = listen_tcp(&url, 0);
    for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++) {
        struct sockaddr_in addr = {
            .sin_family = AF_INET, .sin_port = htons(url.port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&addr, sizeof addr);
    }
    const int64_t start = iq_clock_ns();
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, iq_dial_connect(&url, 200, iq_deadline_never(), NULL, &fd, &err));
    CHECK(iq_clock_ns() - start >= 200 * 1000000LL);
    snprintf(want, sizeof want, "connect to 127.0.0.1:%d: no answer within 200 ms", url.port);
    CHECK_EQ_STR(want, err.message);
    iq_interrupt interrupt;
    CHECK_OK(iq_interrupt_open(&interrupt, &err));
    iq_interrupt_set(&interrupt);
    CHECK_STATUS(IMGQ_E_CANCELLED, iq_dial_connect(&url, 60000, iq_deadline_never(), &interrupt, &fd, &err));
    iq_interrupt_close(&interrupt);
    for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++)
        close(fillers[i]);
    close(listener);
    iq_url_release(env, &url);
}

/* ---- sock ---- */

static void a_gone_peer_is_an_error_and_no_signal(void)
{
    int ends[2];
    size_t moved;
    imgq_error err;
    char bytes[16] = "0123456789abcde";
    struct iovec part = {bytes, sizeof bytes};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    close(ends[1]);
    /* The default action of SIGPIPE would end this program. */
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, iq_sock_send(ends[0], &part, 1, &moved, &err));
    CHECK_EQ_STR("connection broken: Broken pipe", err.message);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, iq_sock_recv(ends[0], bytes, sizeof bytes, &moved, &err));
    CHECK_EQ_STR("connection closed by the server", err.message);
    iq_sock_close(ends[0]);
}

typedef struct reader {
    int fd;
    size_t got;
    uint64_t sum;
} reader;

static void *read_slowly(void *user)
{
    reader *it = user;
    static uint8_t bytes[4096];
    for (ssize_t got; (got = read(it->fd, bytes, sizeof bytes)) > 0; it->got += (size_t)got)
        for (ssize_t i = 0; i < got; i++)
            it->sum = it->sum * 31 + bytes[i];
    return NULL;
}

static void more_than_the_socket_holds_arrives_whole(void)
{
    enum { SIZE = 3 << 20 };
    int ends[2];
    imgq_error err;
    pthread_t thread;
    uint8_t *bytes = malloc(SIZE);
    uint64_t want = 0;
    for (size_t i = 0; i < SIZE; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
        want = want * 31 + bytes[i];
    }
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    reader it = {.fd = ends[1]};
    CHECK_EQ_INT(0, pthread_create(&thread, NULL, read_slowly, &it));
    CHECK_OK(iq_sock_send_all(ends[0], bytes, SIZE, NULL, iq_deadline_after_ms(30000), &err));
    iq_sock_close(ends[0]);
    pthread_join(thread, NULL);
    CHECK_EQ_SIZE(SIZE, it.got);
    CHECK_EQ_SIZE(want, it.sum);
    close(ends[1]);
    free(bytes);
}

static void silence_ends_at_the_deadline_or_the_interrupt(void)
{
    int ends[2];
    size_t got;
    char bytes[8];
    imgq_error err;
    iq_interrupt interrupt;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    CHECK_OK(iq_interrupt_open(&interrupt, &err));
    CHECK_STATUS(IMGQ_E_TIMEOUT,
                 iq_sock_recv_some(ends[0], bytes, sizeof bytes, &got, &interrupt, iq_deadline_after_ms(20), &err));
    CHECK_EQ_STR("receive: the deadline passed", err.message);
    iq_interrupt_set(&interrupt);
    CHECK_STATUS(IMGQ_E_CANCELLED,
                 iq_sock_recv_some(ends[0], bytes, sizeof bytes, &got, &interrupt, iq_deadline_never(), &err));
    iq_interrupt_clear(&interrupt);
    CHECK(!iq_interrupt_is_set(&interrupt));
    CHECK(write(ends[1], "abc", 3) == 3);
    CHECK_OK(iq_sock_recv_some(ends[0], bytes, sizeof bytes, &got, &interrupt, iq_deadline_never(), &err));
    CHECK_EQ_SIZE(3, got);
    CHECK_EQ_MEM("abc", bytes, 3);
    iq_interrupt_close(&interrupt);
    close(ends[0]);
    close(ends[1]);
}

/* ---- wait ---- */

static iq_interrupt for_signal;

static void on_signal(int number)
{
    (void)number;
    iq_interrupt_set(&for_signal);
}

static void an_interrupt_works_from_a_signal_handler_and_stays_set(void)
{
    imgq_error err;
    CHECK_OK(iq_interrupt_open(&for_signal, &err));
    const struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before;
    CHECK(sigaction(SIGALRM, &action, &before) == 0);
    const struct itimerval soon = {.it_value = {0, 20000}};
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
    CHECK_EQ_INT(IMGQ_E_CANCELLED, iq_wait(-1, 0, &for_signal, iq_deadline_never(), NULL, &err));
    CHECK_EQ_INT(IMGQ_E_CANCELLED, iq_wait(-1, 0, &for_signal, iq_deadline_never(), NULL, &err));
    CHECK(iq_interrupt_is_set(&for_signal));
    CHECK(sigaction(SIGALRM, &before, NULL) == 0);
    iq_interrupt_close(&for_signal);
    iq_interrupt_close(&for_signal);
    CHECK(!iq_interrupt_is_set(NULL));
}

static void an_interrupt_wins_over_a_ready_descriptor(void)
{
    int ends[2];
    imgq_error err;
    short revents = 0;
    iq_interrupt interrupt;
    CHECK(pipe(ends) == 0);
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK_OK(iq_interrupt_open(&interrupt, &err));
    CHECK_EQ_INT(IMGQ_OK, iq_wait(ends[0], POLLIN, &interrupt, (iq_deadline){0}, &revents, &err));
    CHECK(revents & POLLIN);
    iq_interrupt_set(&interrupt);
    CHECK_EQ_INT(IMGQ_E_CANCELLED, iq_wait(ends[0], POLLIN, &interrupt, iq_deadline_never(), NULL, &err));
    iq_interrupt_close(&interrupt);
    close(ends[0]);
    close(ends[1]);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_TEST(a_dialled_socket_has_keepalive_no_delay_and_does_not_outlive_exec),
        CHECK_TEST(a_name_is_looked_up),
        CHECK_TEST(nobody_there_is_unavailable_and_says_where),
        CHECK_TEST(a_silent_address_costs_no_more_than_the_time_out),
        CHECK_TEST(a_gone_peer_is_an_error_and_no_signal),
        CHECK_TEST(more_than_the_socket_holds_arrives_whole),
        CHECK_TEST(silence_ends_at_the_deadline_or_the_interrupt),
        CHECK_TEST(an_interrupt_works_from_a_signal_handler_and_stays_set),
        CHECK_TEST(an_interrupt_wins_over_a_ready_descriptor),
    };
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    const int code = check_main(argc, argv, "sock", tests, sizeof tests / sizeof *tests);
    imgq_env_destroy(env);
    return code;
}
