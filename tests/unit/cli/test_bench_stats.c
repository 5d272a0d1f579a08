/* What imgq-bench tells of its samples, its arrivals by chance, and its queue, in a time of their own. */
#include "cli/bench/stats.h"

#include "support/check.h"

#include <math.h>
#include <stdlib.h>

static stats_list list_of(const double *values, size_t count)
{
    stats_list list = {0};
    for (size_t i = 0; i < count; i++)
        CHECK(stats_add(&list, values[i]));
    return list;
}

static void an_empty_list_has_no_figures(void)
{
    const stats_list list = {0};
    CHECK_NEAR(0, stats_least(&list), 0);
    CHECK_NEAR(0, stats_most(&list), 0);
    CHECK_NEAR(0, stats_mean(&list), 0);
    CHECK_NEAR(0, stats_median(&list), 0);
    CHECK_NEAR(0, stats_percentile(&list, 0.99), 0);
}

static void odd_and_even_lists_have_their_middle(void)
{
    const double values[] = {9, 1, 5, 3};
    stats_list even = list_of(values, 4), odd = list_of(values, 3);
    CHECK_NEAR(4, stats_median(&even), 0);
    CHECK_NEAR(5, stats_median(&odd), 0);
    CHECK_NEAR(1, stats_least(&even), 0);
    CHECK_NEAR(9, stats_most(&even), 0);
    CHECK_NEAR(4.5, stats_mean(&even), 0);
    CHECK_NEAR(9, even.values[0], 0);
    CHECK_NEAR(3, even.values[3], 0);
    stats_free(&even);
    stats_free(&odd);
}

static void a_percentile_is_a_value_that_was_seen(void)
{
    stats_list list = {0};
    for (int i = 100; i >= 1; i--)
        CHECK(stats_add(&list, i));
    CHECK_NEAR(50, stats_percentile(&list, 0.5), 0);
    CHECK_NEAR(90, stats_percentile(&list, 0.9), 0);
    CHECK_NEAR(99, stats_percentile(&list, 0.99), 0);
    CHECK_NEAR(100, stats_percentile(&list, 0.991), 0);
    CHECK_NEAR(100, stats_percentile(&list, 1), 0);
    CHECK_NEAR(1, stats_percentile(&list, 0), 0);
    stats_free(&list);
}

static void a_seed_makes_its_own_arrivals(void)
{
    stats_list a = {0}, again = {0}, other = {0};
    CHECK(stats_arrivals(7, 100, 10, &a));
    CHECK(stats_arrivals(7, 100, 10, &again));
    CHECK(stats_arrivals(8, 100, 10, &other));
    CHECK_EQ_SIZE(a.count, again.count);
    CHECK_EQ_MEM(a.values, again.values, a.count * sizeof *a.values);
    CHECK(a.values[0] < other.values[0] || a.values[0] > other.values[0]);
    stats_free(&a);
    stats_free(&again);
    stats_free(&other);
}

/* Gaps of a Poisson process: mean 1/rate, spread as large as the mean, a share of 1/e longer than it. */
static void arrivals_come_as_a_poisson_process(void)
{
    stats_list arrivals = {0}, gaps = {0};
    double before = 0, squares = 0, longer = 0;
    CHECK(stats_arrivals(3, 50, 4000, &arrivals));
    for (size_t i = 0; i < arrivals.count; i++) {
        CHECK(arrivals.values[i] > before);
        CHECK(stats_add(&gaps, arrivals.values[i] - before));
        before = arrivals.values[i];
    }
    CHECK(before < 4000);
    const double mean = stats_mean(&gaps);
    for (size_t i = 0; i < gaps.count; i++) {
        squares += (gaps.values[i] - mean) * (gaps.values[i] - mean);
        longer += gaps.values[i] > 1.0 / 50;
    }
    CHECK_NEAR(200000, (double)arrivals.count, 2000);
    CHECK_NEAR(0.02, mean, 0.0002);
    CHECK_NEAR(0.02, sqrt(squares / (double)gaps.count), 0.0004);
    CHECK_NEAR(exp(-1), longer / (double)gaps.count, 0.005);
    stats_free(&arrivals);
    stats_free(&gaps);
}

/* A world whose clock only moves when it works or sleeps. */
typedef struct virtual_world {
    double now, fixed, each; /* a batch takes fixed + each x images */
    size_t batches, largest, runs_left;
} virtual_world;

static double virtual_now(void *user)
{
    return ((virtual_world *)user)->now;
}

static void virtual_sleep(void *user, double at)
{
    ((virtual_world *)user)->now = at;
}

static bool virtual_run(void *user, size_t batch)
{
    virtual_world *w = user;
    if (w->runs_left == 0)
        return false;
    w->runs_left--;
    w->now += w->fixed + w->each * (double)batch;
    w->batches++;
    w->largest = batch > w->largest ? batch : w->largest;
    return true;
}

static stats_world world_of(virtual_world *w)
{
    return (stats_world){.user = w, .now = virtual_now, .sleep_until = virtual_sleep, .run = virtual_run};
}

static void waiting_in_the_queue_is_part_of_the_latency(void)
{
    const double times[] = {1, 1.5, 1.75, 20};
    stats_list arrivals = list_of(times, 4), latencies = {0};
    virtual_world w = {.each = 2, .runs_left = 10};
    const stats_world world = world_of(&w);
    CHECK(stats_serve(&world, &arrivals, 1, &latencies));
    CHECK_EQ_SIZE(4, latencies.count);
    CHECK_NEAR(2, latencies.values[0], 1e-12);
    CHECK_NEAR(3.5, latencies.values[1], 1e-12);
    CHECK_NEAR(5.25, latencies.values[2], 1e-12);
    CHECK_NEAR(2, latencies.values[3], 1e-12);
    stats_free(&arrivals);
    stats_free(&latencies);
}

static void a_batch_takes_all_that_wait_and_no_more(void)
{
    const double times[] = {1, 1.1, 1.2, 1.3, 1.4, 9};
    stats_list arrivals = list_of(times, 6), latencies = {0};
    virtual_world w = {.fixed = 1, .runs_left = 10};
    const stats_world world = world_of(&w);
    CHECK(stats_serve(&world, &arrivals, 3, &latencies));
    CHECK_EQ_SIZE(4, w.batches); /* 1 alone, 3 that waited, the fifth, the sixth */
    CHECK_EQ_SIZE(3, w.largest);
    CHECK_NEAR(1, latencies.values[0], 1e-12);
    CHECK_NEAR(1.9, latencies.values[1], 1e-12);
    CHECK_NEAR(1.7, latencies.values[3], 1e-12);
    CHECK_NEAR(2.6, latencies.values[4], 1e-12);
    stats_free(&arrivals);
    stats_free(&latencies);
}

static void a_run_that_fails_ends_the_serving(void)
{
    const double times[] = {1, 2, 3};
    stats_list arrivals = list_of(times, 3), latencies = {0};
    virtual_world w = {.each = 0.1, .runs_left = 2};
    const stats_world world = world_of(&w);
    CHECK(!stats_serve(&world, &arrivals, 1, &latencies));
    CHECK_EQ_SIZE(2, latencies.count);
    stats_free(&arrivals);
    stats_free(&latencies);
}

/* Poisson arrivals, one server, equal service times: the mean wait is load x service / 2 / (1 - load). */
static void the_queue_waits_as_theory_says(void)
{
    for (int load = 2; load <= 8; load += 3) {
        stats_list arrivals = {0}, latencies = {0};
        virtual_world w = {.each = 1, .runs_left = SIZE_MAX};
        const stats_world world = world_of(&w);
        const double rho = load / 10.0;
        CHECK(stats_arrivals(5, rho, 400000, &arrivals));
        CHECK(stats_serve(&world, &arrivals, 1, &latencies));
        CHECK_NEAR(1 + rho / 2 / (1 - rho), stats_mean(&latencies), 0.03 * (1 + rho / 2 / (1 - rho)));
        stats_free(&arrivals);
        stats_free(&latencies);
    }
}

typedef struct search {
    double limit;
    size_t trials;
} search;

static bool holds(void *user, double rate)
{
    search *s = user;
    s->trials++;
    return rate <= s->limit;
}

static void the_search_ends_at_the_highest_rate_that_held(void)
{
    search s = {.limit = 37};
    const double found = stats_highest_rate(holds, &s, 100, 8);
    CHECK(found <= 37 && found > 37 - 100.0 / 256);
    CHECK_EQ_SIZE(9, s.trials);
    s = (search){.limit = 200};
    CHECK_NEAR(100, stats_highest_rate(holds, &s, 100, 8), 0);
    CHECK_EQ_SIZE(1, s.trials);
    s = (search){.limit = 0};
    CHECK_NEAR(0, stats_highest_rate(holds, &s, 100, 8), 0);
}

static const check_test tests[] = {
    CHECK_TEST(an_empty_list_has_no_figures),
    CHECK_TEST(odd_and_even_lists_have_their_middle),
    CHECK_TEST(a_percentile_is_a_value_that_was_seen),
    CHECK_TEST(a_seed_makes_its_own_arrivals),
    CHECK_TEST(arrivals_come_as_a_poisson_process),
    CHECK_TEST(waiting_in_the_queue_is_part_of_the_latency),
    CHECK_TEST(a_batch_takes_all_that_wait_and_no_more),
    CHECK_TEST(a_run_that_fails_ends_the_serving),
    CHECK_TEST(the_queue_waits_as_theory_says),
    CHECK_TEST(the_search_ends_at_the_highest_rate_that_held),
};

CHECK_MAIN("bench_stats", tests)
