#include "base/clock.h"

#include <limits.h>
#include <time.h>

int64_t iq_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t iq_clock_unix_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

iq_deadline iq_deadline_never(void)
{
    return (iq_deadline){.at_ns = INT64_MAX};
}

iq_deadline iq_deadline_after_ms(int64_t timeout_ms)
{
    int64_t span, at;
    if (timeout_ms < 0)
        return iq_deadline_never();
    if (__builtin_mul_overflow(timeout_ms, 1000000, &span) || __builtin_add_overflow(iq_clock_ns(), span, &at))
        return iq_deadline_never();
    return (iq_deadline){.at_ns = at};
}

iq_deadline iq_deadline_min(iq_deadline a, iq_deadline b)
{
    return a.at_ns < b.at_ns ? a : b;
}

int64_t iq_deadline_left_ns(iq_deadline deadline)
{
    if (deadline.at_ns == INT64_MAX)
        return INT64_MAX;
    int64_t left = deadline.at_ns - iq_clock_ns();
    return left > 0 ? left : 0;
}

bool iq_deadline_passed(iq_deadline deadline)
{
    return iq_deadline_left_ns(deadline) == 0;
}

int iq_deadline_poll_ms(iq_deadline deadline)
{
    int64_t left = iq_deadline_left_ns(deadline);
    if (left == INT64_MAX)
        return -1;
    int64_t ms = left / 1000000 + (left % 1000000 != 0);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}
