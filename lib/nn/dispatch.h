/* Which code computes a layer. */
#ifndef IQ_NN_DISPATCH_H
#define IQ_NN_DISPATCH_H

#include <imgq/status.h>

#include "nn/ops/conv.h"

/** @param wanted "auto", NULL or an engine's name @param engine out, static
 *  @return IMGQ_OK; IMGQ_E_UNSUPPORTED (names the engines that are built in) */
IMGQ_CHECKED imgq_status iq_dispatch_engine(const char *wanted, const char **engine, imgq_error *err);
/** The engine's way to compute this convolution: the first of the table that fits. Never NULL for an engine above. */
const iq_conv_kernel *iq_dispatch_conv(const char *engine, const iq_conv *conv);
/** Calls every prepare of the engine's kernels. */
void iq_dispatch_prepare(const char *engine);

#endif
