/* Many endings, one exit code. */
#include "cli/common/exit.h"

#include "support/check.h"

static int exit_of(const int *codes, size_t count)
{
    cli_outcome outcome = {0};
    for (size_t i = 0; i < count; i++)
        cli_outcome_add(&outcome, codes[i]);
    return cli_outcome_exit(&outcome);
}
#define EXIT_OF(...) exit_of((const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

static void the_first_of_7_6_4_5_rules_mixed_failures(void)
{
    CHECK_EQ_INT(0, exit_of(NULL, 0));
    CHECK_EQ_INT(0, EXIT_OF(0, 0, 0));
    CHECK_EQ_INT(1, EXIT_OF(0, 1, 0));
    CHECK_EQ_INT(1, EXIT_OF(0, 3, 0));
    CHECK_EQ_INT(3, EXIT_OF(3, 3));
    CHECK_EQ_INT(1, EXIT_OF(3, 1));
    CHECK_EQ_INT(4, EXIT_OF(3, 4, 5, 0));
    CHECK_EQ_INT(5, EXIT_OF(5, 3, 1));
    CHECK_EQ_INT(6, EXIT_OF(4, 5, 6, 0));
    CHECK_EQ_INT(7, EXIT_OF(6, 7, 4));
    CHECK_EQ_INT(1, EXIT_OF(2));  /* a job's usage error is not the caller's */
    CHECK_EQ_INT(1, EXIT_OF(99)); /* nor is what nobody knows */
}

static void statuses_become_the_documented_codes(void)
{
    static const struct {
        imgq_status status;
        int code;
    } table[] = {{IMGQ_OK, 0},         {IMGQ_E_TIMEOUT, 4}, {IMGQ_E_BUSY, 5},        {IMGQ_E_UNAVAILABLE, 6},
                 {IMGQ_E_DENIED, 7},   {IMGQ_E_FORMAT, 3},  {IMGQ_E_CORRUPT, 3},     {IMGQ_E_LIMIT, 3},
                 {IMGQ_E_NOTFOUND, 1}, {IMGQ_E_LOST, 1},    {IMGQ_E_UNSUPPORTED, 7}, {IMGQ_E_INVALID, 1}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        CHECK_EQ_INT(table[i].code, cli_outcome_code_of(table[i].status));
}

static const check_test tests[] = {
    CHECK_TEST(the_first_of_7_6_4_5_rules_mixed_failures),
    CHECK_TEST(statuses_become_the_documented_codes),
};
CHECK_MAIN("cli_exit", tests)
