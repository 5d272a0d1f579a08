/* The programs with the real weights: --standalone end to end, every bad file, and the reference's own server. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "integration/cli_process.h"
#include "support/check.h"
#include "support/redis_fixture.h"
#include "support/shared.h"

static const char castle[] = "1. church: 0.4136\n2. castle: 0.3930\n3. monastery: 0.1733\n4. palace: 0.0041\n"
                             "5. vault: 0.0034\n";

static char model[1024], photo[1024];

static bool real_things_are_there(void)
{
    if (!shared_is_there())
        return false;
    snprintf(model, sizeof model, "%s", shared_path("models/resnet50_keras.h5"));
    snprintf(photo, sizeof photo, "%s", shared_path("images/castle_image.jpg"));
    return true;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* ---- --standalone ---- */

/* TMPDIR is a folder of this test's own, so that what stays behind is seen. */
static const char *own_tmp(void)
{
    const char *tmp = cli_temporary("tmp");
    mkdir(tmp, 0700);
    setenv("TMPDIR", tmp, 1);
    return tmp;
}

static size_t entries(const char *path)
{
    size_t count = 0;
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    if (dir != NULL)
        closedir(dir);
    return count;
}

/* Is a process alive whose command line holds the folder, as those of --standalone's children do? */
static bool has_children(const char *tmp)
{
    bool found = false;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL && !found;) {
        char path[300], line[4096];
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        FILE *file = fopen(path, "r");
        const size_t len = file != NULL ? fread(line, 1, sizeof line - 1, file) : 0;
        if (file != NULL)
            fclose(file);
        for (size_t i = 0; i < len; i++)
            line[i] = line[i] == '\0' ? ' ' : line[i];
        line[len] = '\0';
        found = strstr(line, tmp) != NULL;
    }
    if (proc != NULL)
        closedir(proc);
    return found;
}

static bool children_end(const char *tmp)
{
    for (int i = 0; i < 600 && has_children(tmp); i++)
        sleep_ms(50);
    return !has_children(tmp);
}

static void standalone_prints_the_reference_lines_and_leaves_nothing(void)
{
    if (!real_things_are_there())
        return;
    const char *tmp = own_tmp();
    /* What is set for the real service must not reach the private one. */
    setenv("IMGQ_REDIS_URL", "redis://127.0.0.1:1", 1);
    setenv("IMGQ_REDIS_PASSWORD", "hunter2", 1);
    setenv("IMGQ_QUEUE", "elsewhere", 1);
    const cli_result *got = cli_run("imgq-submit", "--standalone", "--model", model, photo, NULL);
    CHECK_EQ_INT(0, got->code);
    CHECK_EQ_STR(castle, got->out);
    CHECK_EQ_STR("", got->err);
    unsetenv("IMGQ_REDIS_URL");
    unsetenv("IMGQ_REDIS_PASSWORD");
    unsetenv("IMGQ_QUEUE");
    CHECK_EQ_SIZE(0, entries(tmp));
    CHECK(!has_children(tmp));
    setenv("IMGQ_MODEL", model, 1);
    got = cli_run("imgq-submit", "--standalone", "--payload=f32", "--top=1", photo, NULL);
    unsetenv("IMGQ_MODEL");
    CHECK_EQ_STR("1. church: 0.4136\n", got->out);
    unsetenv("TMPDIR");
}

static void a_signal_cleans_the_private_ones_up(void)
{
    static const int signals[] = {SIGINT, SIGTERM};
    if (!real_things_are_there())
        return;
    const char *tmp = own_tmp();
    for (size_t i = 0; i < 2; i++) {
        /* Its image comes from a pipe that says nothing: so it is there until it is told to go. */
        cli_process *submit = cli_start("/bin/sh", "-c",
                                        "exec \"$IMGQ_BIN/imgq-submit\" --standalone --model \"$0\" --delay 3600 "
                                        "--timeout 3600 \"$1\"",
                                        model, photo, NULL);
        for (int k = 0; k < 600 && !has_children(tmp); k++)
            sleep_ms(50);
        CHECK(has_children(tmp));
        cli_process_signal(submit, signals[i]);
        const cli_result *got = cli_finish(submit);
        CHECK_EQ_INT(128 + signals[i], got->code);
        CHECK_EQ_STR("", got->out);
        CHECK(!has_children(tmp));
        CHECK_EQ_SIZE(0, entries(tmp));
    }
    /* Killed, it can clean nothing up itself: its children end and its folder goes all the same. */
    cli_process *submit = cli_start("imgq-submit", "--standalone", "--model", model, "--delay=3600", photo, NULL);
    for (int k = 0; k < 600 && !has_children(tmp); k++)
        sleep_ms(50);
    cli_process_signal(submit, SIGKILL);
    CHECK_EQ_INT(128 + SIGKILL, cli_finish(submit)->code);
    CHECK(children_end(tmp));
    for (int k = 0; k < 600 && entries(tmp) > 0; k++)
        sleep_ms(50);
    CHECK_EQ_SIZE(0, entries(tmp));
    unsetenv("TMPDIR");
}

static void what_standalone_lacks_is_named(void)
{
    if (!real_things_are_there())
        return;
    const char *tmp = own_tmp();
    char *path = strdup(getenv("PATH") != NULL ? getenv("PATH") : "/usr/bin:/bin");
    setenv("PATH", "/nonexistent", 1);
    const cli_result *got = cli_run("imgq-submit", "--standalone", "--model", model, photo, NULL);
    setenv("PATH", path, 1);
    free(path);
    CHECK_EQ_INT(7, got->code);
    CHECK_EQ_STR("imgq-submit: --standalone needs redis-server, which is not in PATH: install the package redis-server "
                 "(apt-get install redis-server)\n",
                 got->err);
    got = cli_run("imgq-submit", "--standalone", "--model", "/nonexistent.h5", photo, NULL);
    CHECK_EQ_INT(7, got->code);
    CHECK_CONTAINS("/nonexistent.h5", got->err);
    CHECK_CONTAINS("imgq-submit: the private worker ended with code 7\n", got->err);
    CHECK_EQ_STR("", got->out);
    CHECK_EQ_SIZE(0, entries(tmp));
    unsetenv("TMPDIR");
}

/* ---- what is asked of a worker ---- */

static void payloads_exif_background_and_profile_reach_the_worker(void)
{
    if (!real_things_are_there())
        return;
    redis_fixture *redis = redis_fixture_start(NULL);
    const char *url = redis_fixture_url(redis);
    cli_process *worker = cli_start("imgq-worker", "--redis", url, "--model", model, NULL);
    CHECK(cli_process_said(worker, "ready"));
#define SUBMIT(...) cli_run("imgq-submit", "--redis", url, __VA_ARGS__, NULL)
    CHECK_EQ_STR(castle, SUBMIT(photo)->out);
    CHECK_EQ_STR(castle, SUBMIT("--payload=u8", photo)->out); /* by the profile that the worker tells */
    CHECK_EQ_STR(castle, SUBMIT("--payload=f32", photo)->out);

    char turned[1024], clear[1024]; /* shared_path() forgets */
    snprintf(turned, sizeof turned, "%s", shared_path("oracle/formats/jpeg-exif-orientation-6.jpg"));
    snprintf(clear, sizeof clear, "%s", shared_path("oracle/formats/png-rgba-8bit.png"));
    CHECK_CONTAINS("\"exif\":{\"orientation\":6,\"applied\":false}", SUBMIT("-fjson", turned)->out);
    CHECK_CONTAINS("\"exif\":{\"orientation\":6,\"applied\":true}", SUBMIT("-fjson", "--exif=apply", turned)->out);
    const cli_result there = *SUBMIT("--exif=apply", turned), here = *SUBMIT("--exif=apply", "--payload=u8", turned);
    CHECK_EQ_STR(there.out, here.out);

    const cli_result dropped = *SUBMIT(clear), white = *SUBMIT("--background=white", clear),
                     white_here = *SUBMIT("--background=#ffffff", "--payload=f32", clear);
    CHECK(strcmp(dropped.out, white.out) != 0);
    CHECK_EQ_STR(white.out, white_here.out);

    const cli_result *got = SUBMIT("--payload=u8", "--profile=torchvision", photo);
    char want[1400];
    snprintf(want, sizeof want,
             "imgq-submit: %s: profile_mismatch: the tensor was prepared with profile torchvision, this worker's model "
             "wants keras\n",
             photo);
    CHECK_EQ_INT(7, got->code);
    CHECK_EQ_STR(want, got->err);
#undef SUBMIT
    cli_process_signal(worker, SIGTERM);
    CHECK_EQ_INT(0, cli_finish(worker)->code);
    redis_fixture_stop(redis);
}

/* ---- bad files ---- */

static void every_bad_file_is_refused_in_its_own_words(void)
{
    static const struct {
        const char *name, *code, *message;
    } table[] = {
        {"empty.jpg", "IMGQ_E_FORMAT", "empty"},
        {"gif.gif", "IMGQ_E_FORMAT", "GIF is not read here; convert it to JPEG or PNG"},
        {"jpeg-header-only.jpg", "IMGQ_E_CORRUPT", "JPEG is cut short: it ends after 20 bytes"},
        {"jpeg-lies-0x0.jpg", "IMGQ_E_CORRUPT", "JPEG is damaged: Empty JPEG image (DNL not supported)"},
        {"jpeg-lies-65500x65500.jpg", "IMGQ_E_LIMIT", "JPEG of 65500 x 65500 pixels, the limit is 100000000 pixels"},
        {"jpeg-scan-bomb.jpg", "IMGQ_E_LIMIT", "JPEG of 3009 scans over 3000 x 3000 pixels, the limit is 71 scans"},
        {"jpeg-truncated-half.jpg", "IMGQ_E_CORRUPT", "JPEG is cut short: it ends after 11796 bytes"},
        {"jpeg-truncated-tables.jpg", "IMGQ_E_CORRUPT", "JPEG is cut short: it ends after 300 bytes"},
        {"one-byte.png", "IMGQ_E_FORMAT", "neither JPEG nor PNG: 1 byte that begins as no picture known here"},
        {"png-bad-crc.png", "IMGQ_E_CORRUPT", "PNG is damaged: IDAT: invalid literal/lengths set"},
        {"png-bomb-0x5.png", "IMGQ_E_CORRUPT", "PNG of 0 x 5 pixels is empty"},
        {"png-bomb-100000x100000.png", "IMGQ_E_LIMIT", "PNG of 100000 x 100000 pixels, the limit is 100000000 pixels"},
        {"png-bomb-2147483647x2147483647.png", "IMGQ_E_LIMIT",
         "PNG of 2147483647 x 2147483647 pixels, the limit is 100000000 pixels"},
        {"png-bomb-65500x65500.png", "IMGQ_E_LIMIT", "PNG of 65500 x 65500 pixels, the limit is 100000000 pixels"},
        {"png-no-idat.png", "IMGQ_E_CORRUPT", "PNG is damaged: IEND: out of place"},
        {"png-truncated-half.png", "IMGQ_E_CORRUPT", "PNG is cut short: it ends after 77499 bytes"},
        {"text.jpg", "IMGQ_E_FORMAT", "neither JPEG nor PNG: 17 bytes that begin as no picture known here"},
        {"webp.webp", "IMGQ_E_FORMAT", "WebP is not read here; convert it to JPEG or PNG"},
    };
    enum { FILES = sizeof table / sizeof *table };
    char err[8000] = "", want[600];
    if (!real_things_are_there())
        return;
    CHECK_EQ_SIZE(FILES, entries(shared_path("oracle/bad"))); /* the table knows them all */
    for (size_t i = 0; i < FILES; i++)
        sprintf(err + strlen(err), "imgq-submit: %s/%s: %s\n", shared_path("oracle/bad"), table[i].name,
                table[i].message);
    const cli_result *got = cli_run("imgq-submit", "--standalone", "--model", model, "--format=json", "--recursive",
                                    shared_path("oracle/bad"), NULL);
    CHECK_EQ_INT(3, got->code);
    CHECK_EQ_STR(err, got->err);
    const char *line = got->out;
    for (size_t i = 0; i < FILES && line != NULL; i++) {
        char part[1000];
        snprintf(part, sizeof part, "%.*s", (int)strcspn(line, "\n"), line);
        snprintf(want, sizeof want,
                 "\"status\":\"failed\",\"predictions\":[],\"error\":{\"code\":\"%s\",\"message\":", table[i].code);
        CHECK_CONTAINS(want, part);
        CHECK_CONTAINS(table[i].name, part);
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
}

/* ---- the reference's wire ---- */

static void the_references_own_server_answers_and_what_it_lost_is_pushed_again(void)
{
    if (!real_things_are_there())
        return;
    if (cli_run("/usr/bin/python3", "-c", "import torch, h5py, redis, numpy, PIL", NULL)->code != 0) {
        check_skip("no python3-torch, -h5py, -redis, -numpy, -pil for the reference's server");
        return;
    }
    redis_fixture *redis = redis_fixture_start(NULL);
    const char *url = redis_fixture_tcp_url(redis);
    /* Before the server comes one item is lost, as its LRANGE and LTRIM lose them. */
    cli_process *submit = cli_start("imgq-submit", "--wire=keras", "--redis", url, "--timeout=110", photo, NULL);
    bool lost = false;
    for (int i = 0; i < 1000 && !lost; i++) {
        lost = strstr(redis_fixture_ask(redis, "LPOP image_queue"), "\"image\"") != NULL;
        sleep_ms(10);
    }
    CHECK(lost);
    cli_process *server =
        cli_start("/usr/bin/python3", shared_path("peers/reference_wire.py"), "serve", "--redis", url, NULL);
    CHECK(cli_process_said(server, "model loaded"));
    const cli_result *got = cli_finish(submit);
    CHECK_EQ_INT(0, got->code);
    CHECK_EQ_STR(castle, got->out);
    CHECK_EQ_STR("", got->err);
    got = cli_run("imgq-submit", "--wire=keras", "--redis", url, "--top=2", "--format=json", photo, photo, NULL);
    CHECK_EQ_INT(0, got->code);
    CHECK_CONTAINS("\"status\":\"ok\",\"predictions\":[{\"class\":null,\"label\":\"church\",\"probability\":0.4136",
                   got->out);
    CHECK_CONTAINS("\"error\":null,\"queue\":\"image_queue\",\"times_ms\":{\"total\":", got->out);
    CHECK_EQ_STR("*0\r\n", redis_fixture_ask(redis, "KEYS *")); /* no key stays behind */
    kill(cli_process_pid(server), SIGTERM);
    (void)cli_finish(server);
    redis_fixture_stop(redis);
}

/* Two servers that both LRANGE before either LTRIMs answer some items twice and lose others unread. */
static void two_racing_reference_servers_answer_every_file(void)
{
    enum { FILES = 40 };
    if (!real_things_are_there())
        return;
    if (cli_run("/usr/bin/python3", "-c", "import torch, h5py, redis, numpy, PIL", NULL)->code != 0) {
        check_skip("no python3-torch, -h5py, -redis, -numpy, -pil for the reference's server");
        return;
    }
    redis_fixture *redis = redis_fixture_start(NULL);
    const char *url = redis_fixture_tcp_url(redis);
    cli_process *servers[2];
    for (int i = 0; i < 2; i++)
        servers[i] = cli_start("/usr/bin/python3", shared_path("peers/reference_wire.py"), "serve", "--redis", url,
                               "--threads", "1", NULL);
    for (int i = 0; i < 2; i++)
        CHECK(cli_process_said(servers[i], "model loaded"));
    char list[512];
    snprintf(list, sizeof list, "%s", cli_temporary("forty-photos")); /* lives on only until the next path */
    FILE *names = fopen(list, "w");
    for (int i = 0; names != NULL && i < FILES; i++)
        fwrite(photo, 1, strlen(photo) + 1, names);
    CHECK(names != NULL && fclose(names) == 0);
    const cli_result *got = cli_run("imgq-submit", "--wire=keras", "--redis", url, "--attempts=20", "--timeout=400",
                                    "--top=1", "--files0-from", list, NULL);
    size_t churches = 0;
    for (const char *at = got->out; (at = strstr(at, "1. church: 0.4136\n")) != NULL; at++)
        churches++;
    CHECK_EQ_INT(0, got->code);
    CHECK_EQ_SIZE(FILES, churches);
    CHECK_EQ_STR("", got->err);
    for (int i = 0; i < 2; i++) {
        kill(cli_process_pid(servers[i]), SIGTERM);
        (void)cli_finish(servers[i]);
    }
    unlink(list);
    redis_fixture_stop(redis);
}

static const check_test tests[] = {
    CHECK_TEST(standalone_prints_the_reference_lines_and_leaves_nothing),
    CHECK_TEST(a_signal_cleans_the_private_ones_up),
    CHECK_TEST(what_standalone_lacks_is_named),
    CHECK_TEST(payloads_exif_background_and_profile_reach_the_worker),
    CHECK_TEST(every_bad_file_is_refused_in_its_own_words),
    CHECK_TEST(the_references_own_server_answers_and_what_it_lost_is_pushed_again),
    CHECK_TEST(two_racing_reference_servers_answer_every_file),
};
CHECK_MAIN("cli_real", tests)
