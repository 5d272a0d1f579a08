#include "cli/bench/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool stats_add(stats_list *list, double value)
{
    if (list->count == list->room) {
        const size_t room = list->room > 0 ? list->room * 2 : 64;
        double *values = realloc(list->values, room * sizeof *values);
        if (values == NULL)
            return false;
        list->values = values;
        list->room = room;
    }
    list->values[list->count++] = value;
    return true;
}

void stats_free(stats_list *list)
{
    free(list->values);
    memset(list, 0, sizeof *list);
}

double stats_least(const stats_list *list)
{
    double least = list->count > 0 ? list->values[0] : 0;
    for (size_t i = 1; i < list->count; i++)
        least = fmin(least, list->values[i]);
    return least;
}

double stats_most(const stats_list *list)
{
    double most = list->count > 0 ? list->values[0] : 0;
    for (size_t i = 1; i < list->count; i++)
        most = fmax(most, list->values[i]);
    return most;
}

double stats_mean(const stats_list *list)
{
    double sum = 0;
    for (size_t i = 0; i < list->count; i++)
        sum += list->values[i];
    return list->count > 0 ? sum / (double)list->count : 0;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Owned, free(). */
static double *sorted(const stats_list *list)
{
    double *copy = list->count > 0 ? malloc(list->count * sizeof *copy) : NULL;
    if (copy != NULL) {
        memcpy(copy, list->values, list->count * sizeof *copy);
        qsort(copy, list->count, sizeof *copy, by_size);
    }
    return copy;
}

double stats_median(const stats_list *list)
{
    double *copy = sorted(list), median = 0;
    if (copy != NULL)
        median = (copy[(list->count - 1) / 2] + copy[list->count / 2]) / 2;
    free(copy);
    return median;
}

double stats_percentile(const stats_list *list, double share)
{
    double *copy = sorted(list), value = 0;
    if (copy != NULL) {
        const double rank = ceil(share * (double)list->count);
        const size_t index = rank < 1 ? 0 : (size_t)rank - 1;
        value = copy[index < list->count ? index : list->count - 1];
    }
    free(copy);
    return value;
}

uint64_t stats_random_bits(stats_random *random)
{
    uint64_t bits = random->state += UINT64_C(0x9E3779B97F4A7C15);
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94D049BB133111EB);
    return bits ^ (bits >> 31);
}

double stats_random_unit(stats_random *random)
{
    return ((double)(stats_random_bits(random) >> 11) + 1) * 0x1p-53;
}

bool stats_arrivals(uint64_t seed, double rate, double seconds, stats_list *out)
{
    stats_random random = {.state = seed};
    out->count = 0;
    for (double at = -log(stats_random_unit(&random)) / rate; at < seconds;
         at += -log(stats_random_unit(&random)) / rate)
        if (!stats_add(out, at))
            return false;
    return true;
}

bool stats_serve(const stats_world *world, const stats_list *arrivals, size_t max_batch, stats_list *latencies)
{
    latencies->count = 0;
    for (size_t next = 0; next < arrivals->count;) {
        double now = world->now(world->user);
        if (now < arrivals->values[next]) {
            world->sleep_until(world->user, arrivals->values[next]);
            now = world->now(world->user);
        }
        size_t batch = 1;
        while (batch < max_batch && next + batch < arrivals->count && arrivals->values[next + batch] <= now)
            batch++;
        if (!world->run(world->user, batch))
            return false;
        now = world->now(world->user);
        for (; batch > 0; batch--, next++)
            if (!stats_add(latencies, now - arrivals->values[next]))
                return false;
    }
    return true;
}

double stats_highest_rate(stats_trial trial, void *user, double high, size_t steps)
{
    double low = 0;
    if (trial(user, high))
        return high;
    for (size_t i = 0; i < steps; i++) {
        const double middle = (low + high) / 2;
        if (trial(user, middle))
            low = middle;
        else
            high = middle;
    }
    return low;
}
