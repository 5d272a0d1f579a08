#include "queue/result.h"

#include <imgq/admin.h>

#include "support/check.h"
#include "support/failing_alloc.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const imgq_prediction top[] = {{497, 0.413623F}, {483, 0.393F}, {IMGQ_CLASS_NONE, 1e-30F}};
static const char *const labels[] = {"church", "castle", "a \"quoted\" \xe2\x9c\x93"};

static imgq_answer answer_of_three(void)
{
    imgq_answer answer = IMGQ_ANSWER_INIT;
    answer.top = top;
    answer.labels = labels;
    answer.top_count = 3;
    answer.model = "resnet50";
    answer.model_hash = "00ff";
    answer.profile = "keras";
    answer.engine = "openblas";
    answer.precision = "f32";
    answer.exif_orientation = 6;
    answer.exif_applied = 1;
    answer.batch = 32;
    answer.decode_ms = 1.25;
    answer.compute_ms = 812.5;
    return answer;
}

static const iq_result_origin origin = {.worker = "worker-1", .attempt = 2, .queue_ms = 3.5};
static const char three_json[] =
    "{\"schema\":1,\"top\":[[497,\"church\",0.413623],[483,\"castle\",0.393],[null,\"a \\\"quoted\\\" "
    "\xe2\x9c\x93\",1e-30]],"
    "\"model\":\"resnet50\",\"model_hash\":\"00ff\",\"profile\":\"keras\",\"engine\":\"openblas\",\"precision\":"
    "\"f32\","
    "\"worker\":\"worker-1\",\"attempt\":2,\"batch\":32,\"exif\":{\"orientation\":6,\"applied\":true},"
    "\"ms\":{\"queue\":3.500,\"decode\":1.250,\"compute\":812.500}}";

static void check_three(imgq_env *env, const char *json, size_t len)
{
    imgq_error err;
    imgq_result *result = NULL;
    imgq_result_info info = IMGQ_RESULT_INFO_INIT;
    size_t count = 0, json_len = 0;
    if (!CHECK_OK(iq_result_of_state(env, "job-1", IMGQ_STATE_SUCCEEDED, 0, json, len, &result, &err)))
        return;
    CHECK_EQ_INT(IMGQ_OK, imgq_result_status(result));
    CHECK_EQ_STR("", imgq_result_message(result));
    CHECK_EQ_STR("job-1", imgq_result_id(result).text);
    const imgq_prediction *got = imgq_result_top(result, &count);
    if (CHECK_EQ_SIZE(3, count)) {
        for (size_t i = 0; i < 3; i++) {
            CHECK_EQ_INT(top[i].class_id, got[i].class_id);
            CHECK(top[i].probability == got[i].probability); /* the same bits */
            CHECK_EQ_STR(labels[i], imgq_result_label(result, i));
        }
    }
    CHECK(imgq_result_label(result, 3) == NULL);
    CHECK_EQ_STR(json, imgq_result_json(result, &json_len));
    CHECK_EQ_SIZE(len, json_len);
    CHECK_OK(imgq_result_get_info(result, &info, &err));
    CHECK_EQ_STR("resnet50", info.model);
    CHECK_EQ_STR("00ff", info.model_hash);
    CHECK_EQ_STR("keras", info.profile);
    CHECK_EQ_STR("openblas", info.engine);
    CHECK_EQ_STR("f32", info.precision);
    CHECK_EQ_STR("worker-1", info.worker);
    CHECK_EQ_INT(2, info.attempt);
    CHECK_EQ_INT(6, info.exif_orientation);
    CHECK_EQ_INT(1, info.exif_applied);
    CHECK_EQ_INT(32, info.batch);
    CHECK_NEAR(3.5, info.queue_ms, 0);
    CHECK_NEAR(1.25, info.decode_ms, 0);
    CHECK_NEAR(812.5, info.compute_ms, 0);
    imgq_result_destroy(result);
}

static void an_answer_is_written_and_read_back(void)
{
    imgq_error err;
    imgq_env *env = failing_env(0);
    iq_buf json = {0};
    const imgq_answer answer = answer_of_three();
    if (CHECK_OK(iq_result_write(env, &json, &answer, &origin, &err))) {
        CHECK_EQ_STR(three_json, (const char *)json.data);
        check_three(env, (const char *)json.data, json.len);
    }
    iq_buf_release(env, &json);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

/* A locale with a decimal comma, made for this test where the system has none. */
static bool use_a_comma(char *folder)
{
    char command[200];
    if (setlocale(LC_ALL, "de_DE.UTF-8") != NULL)
        return true;
    if (mkdtemp(folder) == NULL)
        return false;
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >/dev/null 2>&1", folder);
    return system(command) == 0 && setenv("LOCPATH", folder, 1) == 0 && setlocale(LC_ALL, "de_DE.UTF-8") != NULL;
}

static void a_german_host_writes_and_reads_the_same(void)
{
    char folder[] = "/tmp/imgq-locale-XXXXXX", command[80], number[8];
    if (use_a_comma(folder)) {
        snprintf(number, sizeof number, "%.1f", 0.5);
        CHECK_EQ_STR("0,5", number);
        an_answer_is_written_and_read_back();
    } else {
        check_skip("no locale with a decimal comma, and none can be made (Debian's package locales)");
    }
    (void)setlocale(LC_ALL, "C");
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK_EQ_INT(0, system(command));
}

static void an_answer_without_names_says_only_what_it_knows(void)
{
    imgq_error err;
    imgq_env *env = failing_env(0);
    iq_buf json = {0};
    imgq_answer answer = IMGQ_ANSWER_INIT;
    const iq_result_origin nobody = {0};
    if (CHECK_OK(iq_result_write(env, &json, &answer, &nobody, &err)))
        CHECK_EQ_STR(
            "{\"schema\":1,\"top\":[],\"attempt\":0,\"batch\":0,\"exif\":{\"orientation\":0,\"applied\":false},"
            "\"ms\":{\"queue\":0.000,\"decode\":0.000,\"compute\":0.000}}",
            (const char *)json.data);
    iq_buf_release(env, &json);
    imgq_env_destroy(env);
}

static void what_cannot_be_an_answer_is_refused(void)
{
    imgq_error err;
    imgq_env *env = failing_env(0);
    iq_buf json = {0};
    imgq_prediction many[101] = {{0, 0}};
    imgq_answer answer = IMGQ_ANSWER_INIT;
    answer.top = many;
    answer.top_count = 101;
    CHECK_STATUS(IMGQ_E_LIMIT, iq_result_write(env, &json, &answer, &origin, &err));
    answer.top_count = 1;
    many[0].probability = NAN;
    CHECK_STATUS(IMGQ_E_INVALID, iq_result_write(env, &json, &answer, &origin, &err));
    iq_buf_release(env, &json);
    imgq_env_destroy(env);
}

/* What a stranger might have put where a result stands. */
static void a_garbage_result_is_a_result_that_says_so(void)
{
    static const struct {
        const char *json;
        imgq_status status;
    } bad[] = {
        {"", IMGQ_E_CORRUPT},
        {"nonsense", IMGQ_E_CORRUPT},
        {"[]", IMGQ_E_CORRUPT},
        {"{}", IMGQ_E_CORRUPT},
        {"{\"schema\":1}", IMGQ_E_CORRUPT},
        {"{\"schema\":\"1\",\"top\":[]}", IMGQ_E_CORRUPT},
        {"{\"schema\":2,\"top\":[]}", IMGQ_E_UNSUPPORTED},
        {"{\"schema\":1,\"top\":{}}", IMGQ_E_CORRUPT},
        {"{\"schema\":1,\"top\":[1]}", IMGQ_E_CORRUPT},
        {"{\"schema\":1,\"top\":[[1,\"a\"]]}", IMGQ_E_CORRUPT},
        {"{\"schema\":1,\"top\":[[1,2,3]]}", IMGQ_E_CORRUPT},
        {"{\"schema\":1,\"top\":[[-1,\"a\",0.5]]}", IMGQ_E_CORRUPT},
        {"{\"schema\":1,\"top\":[[4294967296,\"a\",0.5]]}", IMGQ_E_CORRUPT},
        {"{\"schema\":1,\"top\":[[1,\"a\",1e99]]}", IMGQ_E_CORRUPT},
        {"{\"schema\":1,\"top\":[[1,\"a\",\"0.5\"]]}", IMGQ_E_CORRUPT},
        {"{\"schema\":1,\"top\":[[1,\"\xff\",0.5]]}", IMGQ_E_CORRUPT},
    };
    imgq_env *env = failing_env(0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        imgq_error err;
        imgq_result *result = NULL;
        size_t count = 9;
        if (!CHECK_OK(
                iq_result_of_state(env, "x", IMGQ_STATE_SUCCEEDED, 0, bad[i].json, strlen(bad[i].json), &result, &err)))
            continue;
        CHECK_EQ_INT(bad[i].status, imgq_result_status(result));
        CHECK_CONTAINS("result of job x is not readable: ", imgq_result_message(result));
        (void)imgq_result_top(result, &count);
        CHECK_EQ_SIZE(0, count);
        CHECK_EQ_STR(bad[i].json, imgq_result_json(result, NULL));
        imgq_result_destroy(result);
    }
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

static void members_of_later_versions_are_passed_over(void)
{
    static const char json[] = "{\"top\":[[1,\"a\",0.5]],\"schema\":1,\"new\":{\"x\":[1,2]},\"model\":7,\"ms\":[]}";
    imgq_error err;
    imgq_env *env = failing_env(0);
    imgq_result *result = NULL;
    imgq_result_info info = IMGQ_RESULT_INFO_INIT;
    CHECK_OK(iq_result_of_state(env, "x", IMGQ_STATE_SUCCEEDED, 0, json, sizeof json - 1, &result, &err));
    CHECK_EQ_INT(IMGQ_OK, imgq_result_status(result));
    CHECK_OK(imgq_result_get_info(result, &info, &err));
    CHECK_EQ_STR("", info.model);
    CHECK_NEAR(0, info.queue_ms, 0);
    imgq_result_destroy(result);
    imgq_env_destroy(env);
}

static void every_other_end_has_its_status(void)
{
    static const struct {
        int state;
        uint16_t error;
        const char *body;
        imgq_status status;
        const char *message;
    } ends[] = {
        {IMGQ_STATE_CANCELLED, 0, "", IMGQ_E_CANCELLED, "cancelled"},
        {IMGQ_STATE_EXPIRED, 0, "", IMGQ_E_TIMEOUT, "deadline passed"},
        {IMGQ_STATE_EXPIRED, 0, "too late", IMGQ_E_TIMEOUT, "too late"},
        {IMGQ_STATE_DEAD, 12, "not an image: GIF", IMGQ_E_FORMAT, "not an image: GIF"},
        {IMGQ_STATE_DEAD, 16, "lease lost", IMGQ_E_LOST, "lease lost"},
        {IMGQ_STATE_DEAD, 0, "", IMGQ_E_INTERNAL, "failed"},
        {IMGQ_STATE_DEAD, 999, "two\nlines", IMGQ_E_INTERNAL, "two lines"},
        {'Z', 0, "", IMGQ_E_CORRUPT, "result of job x is not readable: state 90 is no end"},
    };
    imgq_env *env = failing_env(0);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        imgq_error err;
        imgq_result *result = NULL;
        size_t count = 9;
        if (!CHECK_OK(iq_result_of_state(env, "x", ends[i].state, ends[i].error, ends[i].body, strlen(ends[i].body),
                                         &result, &err)))
            continue;
        CHECK_EQ_INT(ends[i].status, imgq_result_status(result));
        CHECK_EQ_STR(ends[i].message, imgq_result_message(result));
        (void)imgq_result_top(result, &count);
        CHECK_EQ_SIZE(0, count);
        imgq_result_destroy(result);
    }
    imgq_env_destroy(env);
}

static imgq_status read_and_write(imgq_env *env)
{
    imgq_error err = {0};
    imgq_result *result = NULL;
    const imgq_answer answer = answer_of_three();
    if (env == NULL)
        return IMGQ_E_NOMEM;
    const imgq_status status = iq_result_of_answer(env, "x", &answer, &origin, &result, &err);
    CHECK(status == IMGQ_OK || status == IMGQ_E_NOMEM);
    CHECK((status == IMGQ_OK) == (result != NULL));
    imgq_result_destroy(result);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
    return status;
}

static void memory_that_runs_out_anywhere_leaks_nothing(void)
{
    size_t nth = 1;
    while (read_and_write(failing_env(nth)) == IMGQ_E_NOMEM)
        nth++;
    CHECK(nth > 5);
    CHECK(!failing_has_failed());
}

static const check_test tests[] = {
    CHECK_TEST(an_answer_is_written_and_read_back),
    CHECK_TEST(a_german_host_writes_and_reads_the_same),
    CHECK_TEST(an_answer_without_names_says_only_what_it_knows),
    CHECK_TEST(what_cannot_be_an_answer_is_refused),
    CHECK_TEST(a_garbage_result_is_a_result_that_says_so),
    CHECK_TEST(members_of_later_versions_are_passed_over),
    CHECK_TEST(every_other_end_has_its_status),
    CHECK_TEST(memory_that_runs_out_anywhere_leaks_nothing),
};
CHECK_MAIN("result", tests)
