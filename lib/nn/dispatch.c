/* The table of kernels, best first. An engine takes the first of its own that fits a layer; what fits nowhere else is
 * computed by the plain loops. A new kernel is a new line. */
#include "nn/dispatch.h"

#include "base/fail.h"

#include <stdio.h>
#include <string.h>

static const iq_conv_kernel *const conv_kernels[] = {
#if IMGQ_HAVE_OPENBLAS
    &iq_conv_openblas,
#endif
    &iq_conv_scalar,
};

enum { CONV_KERNELS = sizeof conv_kernels / sizeof *conv_kernels };

imgq_status iq_dispatch_engine(const char *wanted, const char **engine, imgq_error *err)
{
    char choices[128] = "auto";
    for (size_t i = 0; i < CONV_KERNELS; i++) {
        const char *name = conv_kernels[i]->engine;
        if (wanted == NULL || strcmp(wanted, "auto") == 0 || strcmp(wanted, name) == 0) {
            *engine = name;
            return IMGQ_OK;
        }
        const size_t len = strlen(choices);
        snprintf(choices + len, sizeof choices - len, ", %s", name);
    }
    return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "engine '%s' is not built in: choose from %s", wanted, choices);
}

const iq_conv_kernel *iq_dispatch_conv(const char *engine, const iq_conv *conv)
{
    for (size_t i = 0; i < CONV_KERNELS; i++)
        if (strcmp(conv_kernels[i]->engine, engine) == 0 && conv_kernels[i]->fits(conv))
            return conv_kernels[i];
    return &iq_conv_scalar;
}

void iq_dispatch_prepare(const char *engine)
{
    for (size_t i = 0; i < CONV_KERNELS; i++)
        if (strcmp(conv_kernels[i]->engine, engine) == 0 && conv_kernels[i]->prepare != NULL)
            conv_kernels[i]->prepare();
}
