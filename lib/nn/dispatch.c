/* The table of kernels, by engine. An engine takes of its own that fit a layer the one that costs least; what fits
 * nowhere else is computed by the plain loops. A new kernel is a new line. */
#include "nn/dispatch.h"

#include "base/clock.h"
#include "base/fail.h"
#include "nn/kernels/peak.h"

#include <stdio.h>
#include <string.h>

static const iq_conv_kernel *const conv_kernels[] = {
    &iq_conv_bf16_winograd_4,
    &iq_conv_bf16_winograd_2,
    &iq_conv_bf16_direct,
    &iq_conv_bf16_two,
    &iq_conv_winograd_4,
    &iq_conv_winograd_2,
    &iq_conv_strassen,
    &iq_conv_direct,
#if IMGQ_HAVE_OPENBLAS
    &iq_conv_openblas_winograd_4,
    &iq_conv_openblas_winograd_2,
    &iq_conv_openblas_panels,
    &iq_conv_openblas,
#endif
    &iq_conv_scalar,
};

enum { CONV_KERNELS = sizeof conv_kernels / sizeof *conv_kernels };

static const char native[] = "native";

static imgq_status choose_isa(const char *isa, iq_isa *out, imgq_error *err)
{
    static const char *const names[] = {"scalar", "avx2", "avx512", "avx512-bf16", "amx-bf16"};
    *out = IQ_ISA_AMX;
    if (isa == NULL || *isa == '\0')
        return IMGQ_OK;
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(isa, names[i]) == 0) {
            *out = (iq_isa)i;
            return IMGQ_OK;
        }
    return iq_fail(err, IMGQ_E_UNSUPPORTED, 0,
                   "instruction set '%.40s' is unknown: choose from scalar, avx2, avx512, avx512-bf16, amx-bf16", isa);
}

/* The plain loops stay what they are: nothing but C. */
static const iq_kernel_set *set_of(const char *engine, iq_isa at_most)
{
    if (strcmp(engine, native) == 0)
        return iq_kernels_best(at_most);
    return strcmp(engine, iq_conv_scalar.engine) == 0 ? NULL : iq_kernels_vectors(at_most);
}

imgq_status iq_dispatch_engine(const char *wanted, const char *isa, iq_engine *engine, imgq_error *err)
{
    char choices[128] = "auto";
    iq_isa at_most;
    imgq_status status = choose_isa(isa, &at_most, err);
    if (status != IMGQ_OK)
        return status;
    const iq_kernel_set *set = iq_kernels_best(at_most);
    for (size_t i = 0; i < CONV_KERNELS; i++) {
        const char *name = conv_kernels[i]->engine;
        const bool is_native = strcmp(name, native) == 0;
        if ((is_native && set == NULL) || (i > 0 && strcmp(name, conv_kernels[i - 1]->engine) == 0))
            continue;
        if (wanted == NULL || strcmp(wanted, "auto") == 0 || strcmp(wanted, name) == 0) {
            *engine = (iq_engine){.name = name, .set = set_of(name, at_most), .precision = "highest"};
            return IMGQ_OK;
        }
        const size_t len = strlen(choices);
        snprintf(choices + len, sizeof choices - len, ", %s", name);
    }
    if (strcmp(wanted, native) == 0)
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "engine 'native' needs AVX2 and FMA: choose from %s", choices);
    return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "engine '%s' is not built in: choose from %s", wanted, choices);
}

#if defined(__x86_64__)

/* Operations of one lane in a nanosecond, the best of some short samples in turns. */
enum { PEAK_SAMPLES = 6, PEAK_TURNS = 4000 };

static double rate(const iq_peak_kernel *kernel, double best)
{
    const int64_t started = iq_clock_ns();
    volatile float sink = kernel->run(PEAK_TURNS);
    (void)sink;
    const int64_t took = iq_clock_ns() - started;
    const double now = (double)(PEAK_TURNS * kernel->flops) / (double)(took > 0 ? took : 1);
    return now > best ? now : best;
}

/* Zen 4 issues bf16 products at twice the rate of fp32's, some processors with tile units at half of it. */
static bool bf16_is_faster(void)
{
    double fp32 = 0, bf16 = 0;
    for (int i = 0; i < PEAK_SAMPLES; i++) {
        fp32 = rate(&iq_peak_avx512, fp32);
        bf16 = rate(&iq_peak_avx512_bf16, bf16);
    }
    return bf16 > 1.25 * fp32;
}

#else

static bool bf16_is_faster(void)
{
    return false;
}

#endif

void iq_dispatch_highest(iq_engine *engine, const char *why)
{
    engine->precision = "highest";
    engine->type = IQ_F32;
    engine->bf16 = NULL;
    engine->why = why;
}

/* NULL: the set serves. On tile units three products cost a fifth of fp32's one. On AVX-512's bf16 products, twice as
 * fast as fp32's at best, they would cost one and a half: so "high" is for tile units alone. */
static const char *why_not(const iq_bf16_set *set, bool is_high)
{
    if (set == NULL || (is_high && set->isa != IQ_ISA_AMX))
        return is_high ? "it needs tile units (AMX), which are not to be had here"
                       : "it needs bf16 products, which are not to be had here";
    if (set->isa == IQ_ISA_AMX)
        return iq_bf16_check(set) ? NULL : "this processor's tile units failed the check";
    return bf16_is_faster() ? NULL : "this processor's bf16 products are no faster than fp32's";
}

void iq_dispatch_precision(const char *wanted, const char *isa, const iq_bf16_set *set, iq_engine *engine)
{
    iq_isa at_most = IQ_ISA_SCALAR;
    if (wanted == NULL || strcmp(wanted, "highest") == 0)
        return;
    const bool is_high = strcmp(wanted, "high") == 0;
    if (strcmp(engine->name, native) != 0) {
        iq_dispatch_highest(engine, "only the native engine has others");
        return;
    }
    if (set == NULL && choose_isa(isa, &at_most, NULL) == IMGQ_OK)
        set = iq_bf16_best(at_most);
    const char *why = why_not(set, is_high);
    if (why != NULL) {
        iq_dispatch_highest(engine, why);
        return;
    }
    engine->precision = is_high ? "high" : "medium";
    engine->type = is_high ? IQ_BF16_TWO : IQ_BF16;
    engine->bf16 = set;
}

const iq_conv_kernel *iq_dispatch_conv(const iq_engine *engine, const iq_conv *conv)
{
    const iq_conv_kernel *best = conv->out_type == IQ_F32 && conv->in_type == IQ_F32 ? &iq_conv_scalar : NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < CONV_KERNELS; i++) {
        const iq_conv_kernel *kernel = conv_kernels[i];
        if (strcmp(kernel->engine, engine->name) != 0 || kernel->type != conv->out_type ||
            (kernel->type == IQ_F32 && conv->in_type != IQ_F32) || !kernel->fits(conv))
            continue;
        const size_t cost = kernel->cost != NULL ? kernel->cost(conv) : SIZE_MAX - 1;
        if (cost < least) {
            best = kernel;
            least = cost;
        }
    }
    return best;
}

void iq_dispatch_prepare(const iq_engine *engine)
{
    for (size_t i = 0; i < CONV_KERNELS; i++)
        if (strcmp(conv_kernels[i]->engine, engine->name) == 0 && conv_kernels[i]->prepare != NULL)
            conv_kernels[i]->prepare();
}
