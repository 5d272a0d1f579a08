/* CHECK macros over CUnit that print both values; a table of tests named after behaviour; skipping that is said. */
#ifndef TEST_CHECK_H
#define TEST_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <imgq/status.h>

typedef struct check_test {
    const char *name;
    void (*run)(void);
} check_test;

#define CHECK_TEST(fn) {#fn, fn}

/** Runs the table as one suite, or only the tests whose names contain argv[1]. @return exit code of the program */
int check_main(int argc, char **argv, const char *suite, const check_test *tests, size_t count);
#define CHECK_MAIN(suite, tests) \
    int main(int argc, char **argv) \
    { return check_main(argc, argv, suite, tests, sizeof tests / sizeof *tests); }

/** Says on stderr what is missing; the program ends with 77 if nothing failed. */
void check_skip(const char *why);

bool check_true(bool ok, const char *expr, const char *file, int line);
bool check_int(int64_t want, int64_t got, const char *expr, const char *file, int line);
bool check_uint(uint64_t want, uint64_t got, const char *expr, const char *file, int line);
bool check_str(const char *want, const char *got, const char *expr, const char *file, int line);
bool check_mem(const void *want, const void *got, size_t len, const char *expr, const char *file, int line);
bool check_near(double want, double got, double within, const char *expr, const char *file, int line);
bool check_status(imgq_status want, imgq_status got, const imgq_error *err, const char *expr, const char *file, int line);
bool check_contains(const char *part, const char *text, const char *expr, const char *file, int line);

/* Each answers whether it held, so that a test can stop: if (!CHECK(...)) return; */
#define CHECK(cond) check_true((cond), #cond, __FILE__, __LINE__)
#define CHECK_EQ_INT(want, got) check_int((want), (got), #got, __FILE__, __LINE__)
#define CHECK_EQ_SIZE(want, got) check_uint((want), (got), #got, __FILE__, __LINE__)
#define CHECK_EQ_STR(want, got) check_str((want), (got), #got, __FILE__, __LINE__)
#define CHECK_EQ_MEM(want, got, len) check_mem((want), (got), (len), #got, __FILE__, __LINE__)
#define CHECK_NEAR(want, got, within) check_near((want), (got), (within), #got, __FILE__, __LINE__)
#define CHECK_CONTAINS(part, text) check_contains((part), (text), #text, __FILE__, __LINE__)
/* The call writes its error into a local `err`: CHECK_STATUS(IMGQ_OK, imgq_env_create(NULL, &env, &err)); */
#define CHECK_STATUS(want, call) check_status((want), (call), &err, #call, __FILE__, __LINE__)
#define CHECK_OK(call) CHECK_STATUS(IMGQ_OK, call)

#endif
