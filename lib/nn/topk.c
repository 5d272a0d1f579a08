/* The best few of many probabilities. */
#include <imgq/session.h>

#include <math.h>

/* A NaN is worse than every number, so that the order is one whatever the input. */
static int is_better(float a, float b)
{
    return a > b || (isnan(b) && !isnan(a));
}

size_t imgq_topk(const float *probs, size_t count, imgq_prediction *top, size_t top_count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count && top_count > 0; i++) {
        size_t at = kept < top_count ? kept : top_count;
        while (at > 0 && is_better(probs[i], top[at - 1].probability))
            at--;
        if (at == top_count)
            continue;
        if (kept < top_count)
            kept++;
        for (size_t j = kept - 1; j > at; j--)
            top[j] = top[j - 1];
        top[at] = (imgq_prediction){.class_id = (uint32_t)i, .probability = probs[i]};
    }
    return kept;
}
