/* Answers to the letter: text as the reference client prints it, JSON lines, tab-separated. */
#include "cli/common/print.h"

#include <stdlib.h>
#include <string.h>

#include "queue/result.h"

#include "support/check.h"

static char *printed;
static size_t printed_len;

static imgq_result *castle(imgq_env *env)
{
    static const imgq_prediction top[] = {{497, 0.413628f}, {483, 0.39301f}, {663, 0.17334f}};
    static const char *const labels[] = {"church", "castle", "monas\ttery"};
    imgq_answer answer = IMGQ_ANSWER_INIT;
    imgq_error err;
    imgq_result *result = NULL;
    const iq_result_origin origin = {.worker = "host-1-abc", .attempt = 1, .queue_ms = 2.5};
    answer.top = top;
    answer.labels = labels;
    answer.top_count = 3;
    answer.model = "resnet50";
    answer.model_hash = "ab12";
    answer.profile = "keras";
    answer.engine = "scalar";
    answer.precision = "highest";
    answer.batch = 4;
    answer.exif_orientation = 6;
    answer.decode_ms = 1.25;
    answer.compute_ms = 80;
    CHECK_OK(iq_result_of_answer(env, "_id1", &answer, &origin, &result, &err));
    return result;
}

static const char *print(const cli_answer *answer, int format, bool with_names, size_t top)
{
    imgq_env *env = NULL;
    CHECK_EQ_INT(IMGQ_OK, imgq_env_create(NULL, &env, NULL));
    free(printed);
    FILE *out = open_memstream(&printed, &printed_len);
    const cli_printer printer = {.env = env, .out = out, .format = format, .with_names = with_names, .top = top};
    CHECK(cli_print_answer(&printer, answer));
    fclose(out);
    imgq_env_destroy(env);
    return printed;
}

static void text_is_the_reference_clients_line_for_line(void)
{
    imgq_env *env = NULL;
    CHECK_EQ_INT(IMGQ_OK, imgq_env_create(NULL, &env, NULL));
    imgq_result *result = castle(env);
    const cli_answer answer = {
        .file = "some\nwhere/castle.jpg", .id = "_id1", .result = result, .has_classes = true, .total_ms = 90};
    CHECK_EQ_STR("1. church: 0.4136\n2. castle: 0.3930\n3. monas\\ttery: 0.1733\n",
                 print(&answer, CLI_TEXT_FORMAT, false, 0));
    CHECK_EQ_STR("some\\nwhere/castle.jpg\n1. church: 0.4136\n", print(&answer, CLI_TEXT_FORMAT, true, 1));
    imgq_result_destroy(result);
    imgq_env_destroy(env);
}

static void text_says_nothing_of_failures_and_ids_of_what_was_submitted(void)
{
    const cli_answer failed = {.file = "a", .id = "_id1", .status = IMGQ_E_CORRUPT, .message = "cut", .total_ms = -1};
    CHECK_EQ_STR("", print(&failed, CLI_TEXT_FORMAT, true, 0));
    const cli_answer accepted = {.file = "a", .id = "_id1", .total_ms = 3};
    CHECK_EQ_STR("_id1\n", print(&accepted, CLI_TEXT_FORMAT, true, 0));
}

static void json_is_one_object_with_the_same_members_always(void)
{
    imgq_env *env = NULL;
    CHECK_EQ_INT(IMGQ_OK, imgq_env_create(NULL, &env, NULL));
    imgq_result *result = castle(env);
    const cli_answer answer = {.file = "a \"b\".jpg",
                               .id = "_id1",
                               .result = result,
                               .queue = "default",
                               .has_classes = true,
                               .total_ms = 90.5};
    CHECK_EQ_STR("{\"schema\":1,\"file\":\"a \\\"b\\\".jpg\",\"id\":\"_id1\",\"status\":\"ok\",\"predictions\":["
                 "{\"class\":497,\"label\":\"church\",\"probability\":0.413628},"
                 "{\"class\":483,\"label\":\"castle\",\"probability\":0.39301}],\"error\":null,\"queue\":\"default\","
                 "\"model\":\"resnet50\",\"model_hash\":\"ab12\",\"profile\":\"keras\",\"engine\":\"scalar\","
                 "\"precision\":\"highest\",\"worker\":\"host-1-abc\",\"attempt\":1,\"batch\":4,"
                 "\"exif\":{\"orientation\":6,\"applied\":false},"
                 "\"times_ms\":{\"queue\":2.500,\"decode\":1.250,\"compute\":80.000,\"total\":90.500}}\n",
                 print(&answer, CLI_JSON_FORMAT, false, 2));
    imgq_result_destroy(result);
    imgq_env_destroy(env);
    const cli_answer failed = {
        .file = "x\xff", .status = IMGQ_E_CORRUPT, .message = "cut short", .queue = "default", .total_ms = -1};
    CHECK_EQ_STR("{\"schema\":1,\"file\":\"x\xef\xbf\xbd\",\"id\":null,\"status\":\"failed\",\"predictions\":[],"
                 "\"error\":{\"code\":\"IMGQ_E_CORRUPT\",\"message\":\"cut short\"},\"queue\":\"default\","
                 "\"times_ms\":{}}\n",
                 print(&failed, CLI_JSON_FORMAT, false, 0));
}

static void states_tell_no_answer_from_no_answer_yet(void)
{
    cli_answer answer = {.id = "a", .total_ms = -1};
    CHECK_EQ_STR("submitted", cli_answer_state(&answer));
    answer.status = IMGQ_E_TIMEOUT;
    CHECK_EQ_STR("timeout", cli_answer_state(&answer));
    answer.status = IMGQ_E_CANCELLED;
    CHECK_EQ_STR("cancelled", cli_answer_state(&answer));
    answer.status = IMGQ_E_LOST;
    CHECK_EQ_STR("failed", cli_answer_state(&answer));
}

static void tsv_has_a_row_for_each_prediction_and_one_for_a_failure(void)
{
    imgq_env *env = NULL;
    CHECK_EQ_INT(IMGQ_OK, imgq_env_create(NULL, &env, NULL));
    imgq_result *result = castle(env);
    cli_answer answer = {.file = "a\tb", .id = "_id1", .result = result, .has_classes = true, .total_ms = 1};
    CHECK_EQ_STR("a\\tb\t_id1\tok\t1\t497\tchurch\t0.413628\na\\tb\t_id1\tok\t2\t483\tcastle\t0.393010\n",
                 print(&answer, CLI_TSV_FORMAT, true, 2));
    answer.has_classes = false;
    CHECK_EQ_STR("a\\tb\t_id1\tok\t1\t\tchurch\t0.413628\n", print(&answer, CLI_TSV_FORMAT, true, 1));
    imgq_result_destroy(result);
    imgq_env_destroy(env);
    const cli_answer failed = {.file = "b", .status = IMGQ_E_CORRUPT, .message = "cut\nshort", .total_ms = -1};
    CHECK_EQ_STR("b\t\tfailed\t0\t\tcut\\nshort\t\n", print(&failed, CLI_TSV_FORMAT, true, 0));
}

static void an_answer_found_here_prints_as_one_from_a_queue(void)
{
    static const imgq_prediction top[] = {{497, 0.413628f}, {483, 0.39301f}};
    static const char *const labels[] = {"church", NULL};
    cli_local local = {.top = top, .labels = labels, .count = 2};
    local.info = IMGQ_RESULT_INFO_INIT;
    local.info.model = "resnet50";
    local.info.model_hash = "ab12";
    local.info.profile = "keras";
    local.info.engine = "scalar";
    local.info.precision = "highest";
    local.info.worker = "";
    local.info.batch = 2;
    local.info.decode_ms = 1.25;
    local.info.compute_ms = 80;
    const cli_answer answer = {.file = "castle.jpg", .local = &local, .has_classes = true, .total_ms = 81.25};
    CHECK_EQ_STR("1. church: 0.4136\n2. class 483: 0.3930\n", print(&answer, CLI_TEXT_FORMAT, false, 0));
    CHECK_EQ_STR("castle.jpg\t\tok\t1\t497\tchurch\t0.413628\n", print(&answer, CLI_TSV_FORMAT, false, 1));
    CHECK_EQ_STR("{\"schema\":1,\"file\":\"castle.jpg\",\"id\":null,\"status\":\"ok\",\"predictions\":["
                 "{\"class\":497,\"label\":\"church\",\"probability\":0.413628}],\"error\":null,\"queue\":null,"
                 "\"model\":\"resnet50\",\"model_hash\":\"ab12\",\"profile\":\"keras\",\"engine\":\"scalar\","
                 "\"precision\":\"highest\",\"worker\":null,\"attempt\":0,\"batch\":2,"
                 "\"exif\":{\"orientation\":0,\"applied\":false},"
                 "\"times_ms\":{\"decode\":1.250,\"compute\":80.000,\"total\":81.250}}\n",
                 print(&answer, CLI_JSON_FORMAT, false, 1));
}

static void a_full_disk_is_noticed(void)
{
    imgq_env *env = NULL;
    CHECK_EQ_INT(IMGQ_OK, imgq_env_create(NULL, &env, NULL));
    FILE *full = fopen("/dev/full", "w");
    if (CHECK(full != NULL)) {
        const cli_answer accepted = {.id = "_id1", .total_ms = 3};
        const cli_printer printer = {.env = env, .out = full};
        CHECK(!cli_print_answer(&printer, &accepted));
        fclose(full);
    }
    imgq_env_destroy(env);
}

static const check_test tests[] = {
    CHECK_TEST(text_is_the_reference_clients_line_for_line),
    CHECK_TEST(text_says_nothing_of_failures_and_ids_of_what_was_submitted),
    CHECK_TEST(json_is_one_object_with_the_same_members_always),
    CHECK_TEST(states_tell_no_answer_from_no_answer_yet),
    CHECK_TEST(tsv_has_a_row_for_each_prediction_and_one_for_a_failure),
    CHECK_TEST(an_answer_found_here_prints_as_one_from_a_queue),
    CHECK_TEST(a_full_disk_is_noticed),
};
CHECK_MAIN("cli_print", tests)
