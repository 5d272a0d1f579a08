/* How much memory of its own a process has: what no file stands behind. */
#ifndef TEST_RSS_H
#define TEST_RSS_H

#include <stdio.h>
#include <sys/types.h>

/** RssAnon of /proc/PID/status in KiB; pid 0: this process. -1: not there. */
static inline long rss_anon_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = -1;
    snprintf(path, sizeof path, pid == 0 ? "/proc/self/status" : "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && kib < 0 && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "RssAnon: %ld kB", &kib) != 1)
            kib = -1;
    if (file != NULL)
        fclose(file);
    return kib;
}

#endif
