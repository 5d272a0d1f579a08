#include "integration/queue_suite.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

redis_fixture *suite_redis;
imgq_env *suite_env;
int suite_warnings;

static void count_warnings(void *user, int level, const char *room, const char *message)
{
    (void)user;
    (void)room;
    if (level <= IMGQ_LOG_WARNING) {
        __atomic_add_fetch(&suite_warnings, 1, __ATOMIC_SEQ_CST);
        fprintf(stderr, "# %s\n", message);
    }
}

int suite_main(int argc, char **argv, const char *name, const char *config, const check_test *tests, size_t count)
{
    imgq_error err;
    imgq_env_options options = IMGQ_ENV_OPTIONS_INIT;
    options.log_fn = count_warnings;
    suite_redis = redis_fixture_start(config);
    if (imgq_env_create(&options, &suite_env, &err) != IMGQ_OK)
        return EXIT_FAILURE;
    const int rc = check_main(argc, argv, name, tests, count);
    imgq_env_destroy(suite_env);
    redis_fixture_stop(suite_redis);
    return rc;
}

imgq_queue *suite_open(const char *name, const imgq_queue_options *options)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    imgq_queue_options own = IMGQ_QUEUE_OPTIONS_INIT;
    if (options != NULL)
        own = *options;
    own.name = name;
    if (imgq_queue_open(suite_env, redis_fixture_url(suite_redis), &own, &queue, &err) != IMGQ_OK) {
        fprintf(stderr, "open queue %s: %s\n", name, err.message);
        abort();
    }
    return queue;
}

imgq_queue *suite_open_plain(const char *name)
{
    return suite_open(name, NULL);
}

imgq_queue *suite_peer(const char *name)
{
    return peer_open(redis_fixture_url(suite_redis), name, NULL);
}

imgq_id suite_submit(imgq_queue *queue, const char *payload, const imgq_submit_options *options)
{
    imgq_error err;
    imgq_id id;
    if (imgq_queue_submit(queue, payload, strlen(payload), options, &id, &err) != IMGQ_OK) {
        fprintf(stderr, "submit: %s\n", err.message);
        abort();
    }
    return id;
}

imgq_id suite_id(const char *text)
{
    imgq_id id = {{0}};
    snprintf(id.text, sizeof id.text, "%s", text);
    return id;
}

void suite_expect(imgq_queue *queue, const imgq_id *id, imgq_status status, const char *message)
{
    imgq_error err;
    imgq_result *result = NULL;
    if (!CHECK_OK(imgq_queue_await(queue, id, 1, 20000, &result, &err)))
        return;
    CHECK_EQ_STR(id->text, imgq_result_id(result).text);
    CHECK_EQ_INT(status, imgq_result_status(result));
    if (message != NULL)
        CHECK_EQ_STR(message, imgq_result_message(result));
    imgq_result_destroy(result);
}

void suite_ask(const char *want, const char *format, ...)
{
    char line[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    const char *got = redis_fixture_ask(suite_redis, line);
    if (want != NULL)
        CHECK_EQ_STR(want, got);
    else if (got[0] == '-')
        check_true(false, got, line, 0);
}

void suite_sleep_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}
