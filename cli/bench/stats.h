/* Samples and what is told of them; arrivals by chance; the queue of a server in a scenario. No clock and no network
 * here: tests run it in a time of their own. */
#ifndef CLI_BENCH_STATS_H
#define CLI_BENCH_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Values in the order they came. Zeroed is empty; stats_free(). */
typedef struct stats_list {
    double *values;
    size_t count, room;
} stats_list;

/** @return false when memory ran out */
bool stats_add(stats_list *list, double value);
void stats_free(stats_list *list);
/** 0 of an empty list. */
double stats_least(const stats_list *list);
double stats_most(const stats_list *list);
double stats_mean(const stats_list *list);
/** The middle value, or the mean of the two in the middle. The list keeps its order. 0 of an empty list, and when
 *  memory ran out. */
double stats_median(const stats_list *list);
/** Nearest rank: the least value that at least this share of them does not exceed. As stats_median(). @param share
 *  0..1 */
double stats_percentile(const stats_list *list, double share);

/** splitmix64: the same numbers everywhere for one seed. */
typedef struct stats_random {
    uint64_t state;
} stats_random;

uint64_t stats_random_bits(stats_random *random);
/** Above 0, at most 1. */
double stats_random_unit(stats_random *random);
/** Times of a Poisson process, in seconds from 0 on, up to `seconds`. @param rate events a second, above 0
 *  @param out zeroed or full, emptied first @return false when memory ran out */
bool stats_arrivals(uint64_t seed, double rate, double seconds, stats_list *out);

/** What a server needs of the world; seconds from its start. */
typedef struct stats_world {
    void *user;
    double (*now)(void *user);
    void (*sleep_until)(void *user, double at);
    bool (*run)(void *user, size_t batch); /* false: stop */
} stats_world;

/** One server, first come first served: runs all that wait, at most max_batch at once, and sleeps when none does. Each
 *  latency counts from the arrival, so that waiting in the queue is in it.
 *  @param latencies out, seconds, in order of arrival; emptied first
 *  @return false when memory ran out or world->run() said so; latencies are those up to there */
bool stats_serve(const stats_world *world, const stats_list *arrivals, size_t max_batch, stats_list *latencies);

/** @return true: this rate holds */
typedef bool (*stats_trial)(void *user, double rate);
/** Halves the range `steps` times between a rate that holds and one that does not.
 *  @param high tried first: if it holds it is the answer
 *  @return the highest rate that was tried and held, 0 if none */
double stats_highest_rate(stats_trial trial, void *user, double high, size_t steps);

#endif
