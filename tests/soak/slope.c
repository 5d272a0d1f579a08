#include "soak/slope.h"

#include <stdio.h>

#include "support/rss.h"

void slope_sample(slope *s, double done)
{
    const long kib = rss_anon_kib(s->pid);
    if (s->count == SLOPE_SAMPLES_MAX || kib < 0)
        return;
    s->done[s->count] = done;
    s->mib[s->count++] = (double)kib / 1024;
}

bool slope_report(const slope *s, double limit_mib)
{
    double n = 0, sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0, most = 0;
    for (size_t i = 0; i < s->count; i++) {
        n++;
        sum_x += s->done[i];
        sum_y += s->mib[i];
        sum_xx += s->done[i] * s->done[i];
        sum_xy += s->done[i] * s->mib[i];
        most = s->mib[i] > most ? s->mib[i] : most;
    }
    const double spread = n * sum_xx - sum_x * sum_x;
    if (n < 10 || spread <= 0) {
        printf("%-10s too few samples\n", s->who);
        return false;
    }
    const double growth = (n * sum_xy - sum_x * sum_y) / spread;
    printf(
        "%-10s RssAnon %.1f MiB on average, %.1f at most; slope after warm-up %+.3f MiB a run, the limit is %.1f: %s\n",
        s->who, sum_y / n, most, growth, limit_mib, growth <= limit_mib ? "kept" : "BROKEN");
    return growth <= limit_mib;
}
