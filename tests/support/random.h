/* Random choices of tests (xorshift64). IMGQ_SEED=n repeats a run; the seed is printed. */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct test_random {
    uint64_t state; /* never 0 */
} test_random;

static inline uint64_t random_next(test_random *r)
{
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return r->state;
}

/** 0..limit-1 */
static inline uint32_t random_below(test_random *r, uint32_t limit)
{
    return (uint32_t)((random_next(r) >> 32) % limit);
}

/** Any seed, small ones too, begins far from the others. */
static inline test_random random_from(uint64_t seed)
{
    return (test_random){seed * UINT64_C(0x9E3779B97F4A7C15) | 1};
}

/** From IMGQ_SEED, else the clock. */
static inline test_random random_seeded(const char *test)
{
    const char *given = getenv("IMGQ_SEED");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("%s: IMGQ_SEED=%" PRIu64 "\n", test, seed);
    return random_from(seed);
}

#endif
