#include "support/check.h"

#include <CUnit/CUnit.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int skipped;

void check_skip(const char *why)
{
    skipped++;
    fprintf(stderr, "SKIPPED: %s\n", why);
}

static bool report(bool ok, const char *file, int line, const char *text)
{
    CU_assertImplementation(ok ? CU_TRUE : CU_FALSE, (unsigned)line, text, file, "", CU_FALSE);
    if (!ok)
        fprintf(stderr, "%s:%d: %s\n", file, line, text);
    return ok;
}

bool check_true(bool ok, const char *expr, const char *file, int line)
{
    return report(ok, file, line, expr);
}

bool check_int(int64_t want, int64_t got, const char *expr, const char *file, int line)
{
    char text[512];
    snprintf(text, sizeof text, "%s: expected %lld, got %lld", expr, (long long)want, (long long)got);
    return report(want == got, file, line, text);
}

bool check_uint(uint64_t want, uint64_t got, const char *expr, const char *file, int line)
{
    char text[512];
    snprintf(text, sizeof text, "%s: expected %llu, got %llu", expr, (unsigned long long)want, (unsigned long long)got);
    return report(want == got, file, line, text);
}

bool check_str(const char *want, const char *got, const char *expr, const char *file, int line)
{
    char text[2048];
    bool same = want == got || (want != NULL && got != NULL && strcmp(want, got) == 0);
    snprintf(text, sizeof text, "%s: expected \"%s\", got \"%s\"", expr, want ? want : "(null)", got ? got : "(null)");
    return report(same, file, line, text);
}

bool check_contains(const char *part, const char *whole, const char *expr, const char *file, int line)
{
    char text[2048];
    snprintf(text, sizeof text, "%s: expected to find \"%s\" in \"%s\"", expr, part, whole ? whole : "(null)");
    return report(whole != NULL && strstr(whole, part) != NULL, file, line, text);
}

bool check_mem(const void *want, const void *got, size_t len, const char *expr, const char *file, int line)
{
    const unsigned char *a = want, *b = got;
    size_t at = 0;
    char text[512];
    while (at < len && a[at] == b[at])
        at++;
    if (at < len)
        snprintf(text, sizeof text, "%s: byte %zu of %zu: expected %02x, got %02x", expr, at, len, a[at], b[at]);
    else
        snprintf(text, sizeof text, "%s", expr);
    return report(at == len, file, line, text);
}

bool check_near(double want, double got, double within, const char *expr, const char *file, int line)
{
    char text[512];
    snprintf(text, sizeof text, "%s: expected %.9g within %.3g, got %.9g", expr, want, within, got);
    return report(fabs(want - got) <= within, file, line, text);
}

bool check_status(imgq_status want, imgq_status got, const imgq_error *err, const char *expr, const char *file,
                  int line)
{
    char text[1024];
    snprintf(text, sizeof text, "%.300s: expected %s, got %s (%s)", expr, imgq_status_name(want), imgq_status_name(got),
             got != IMGQ_OK && err ? err->message : "no message");
    return report(want == got, file, line, text);
}

int check_main(int argc, char **argv, const char *suite_name, const check_test *tests, size_t count)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (CU_initialize_registry() != CUE_SUCCESS)
        return EXIT_FAILURE;
    CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);
    for (size_t i = 0; i < count; i++)
        if (argc < 2 || strstr(tests[i].name, argv[1]))
            CU_add_test(suite, tests[i].name, tests[i].run);
    unsigned failures = 0;
    for (CU_pTest test = suite->pTest; test != NULL; test = test->pNext) {
        CU_run_test(suite, test);
        unsigned now = CU_get_number_of_failures();
        printf("%s %s.%s\n", now ? "FAILED" : "ok    ", suite_name, test->pName);
        failures += now;
    }
    CU_cleanup_registry();
    if (failures > 0)
        return EXIT_FAILURE;
    return skipped > 0 ? 77 : EXIT_SUCCESS;
}
