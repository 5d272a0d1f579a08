/* Whether a process grows: samples of its memory over a run, and the straight line through them. */
#ifndef SOAK_SLOPE_H
#define SOAK_SLOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SLOPE_SAMPLES_MAX = 400 };

typedef struct slope {
    const char *who;
    pid_t pid; /* 0: this process */
    size_t count;
    double done[SLOPE_SAMPLES_MAX], mib[SLOPE_SAMPLES_MAX];
} slope;

/** @param done share of the run, 0..1 */
void slope_sample(slope *s, double done);
/** Prints one line. @param limit_mib  growth that is allowed from 0 to 1 @return whether it was kept */
bool slope_report(const slope *s, double limit_mib);

#endif
