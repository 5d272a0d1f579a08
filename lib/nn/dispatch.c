/* The table of kernels, best first. An engine takes the first of its own that fits a layer; what fits nowhere else is
 * computed by the plain loops. A new kernel is a new line. */
#include "nn/dispatch.h"

#include "base/fail.h"

#include <stdio.h>
#include <string.h>

static const iq_conv_kernel *const conv_kernels[] = {
    &iq_conv_winograd_4, &iq_conv_winograd_2, &iq_conv_direct,
#if IMGQ_HAVE_OPENBLAS
    &iq_conv_openblas_winograd_4, &iq_conv_openblas_winograd_2, &iq_conv_openblas_panels, &iq_conv_openblas,
#endif
    &iq_conv_scalar,
};

enum { CONV_KERNELS = sizeof conv_kernels / sizeof *conv_kernels };

static const char native[] = "native";

static imgq_status choose_isa(const char *isa, iq_isa *out, imgq_error *err)
{
    static const char *const names[] = {"scalar", "avx2", "avx512"};
    *out = IQ_ISA_AVX512;
    if (isa == NULL || *isa == '\0')
        return IMGQ_OK;
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(isa, names[i]) == 0) {
            *out = (iq_isa)i;
            return IMGQ_OK;
        }
    return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "instruction set '%.40s' is unknown: choose from scalar, avx2, avx512",
                   isa);
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
            *engine = (iq_engine){.name = name, .set = set_of(name, at_most)};
            return IMGQ_OK;
        }
        const size_t len = strlen(choices);
        snprintf(choices + len, sizeof choices - len, ", %s", name);
    }
    if (strcmp(wanted, native) == 0)
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "engine 'native' needs AVX2 and FMA: choose from %s", choices);
    return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "engine '%s' is not built in: choose from %s", wanted, choices);
}

const iq_conv_kernel *iq_dispatch_conv(const iq_engine *engine, const iq_conv *conv)
{
    for (size_t i = 0; i < CONV_KERNELS; i++)
        if (strcmp(conv_kernels[i]->engine, engine->name) == 0 && conv_kernels[i]->fits(conv))
            return conv_kernels[i];
    return &iq_conv_scalar;
}

void iq_dispatch_prepare(const iq_engine *engine)
{
    for (size_t i = 0; i < CONV_KERNELS; i++)
        if (strcmp(conv_kernels[i]->engine, engine->name) == 0 && conv_kernels[i]->prepare != NULL)
            conv_kernels[i]->prepare();
}
