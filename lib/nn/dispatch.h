/* Which code computes a layer. */
#ifndef IQ_NN_DISPATCH_H
#define IQ_NN_DISPATCH_H

#include <imgq/status.h>

#include "nn/ops/conv.h"

typedef struct iq_engine {
    const char *name;         /* static: scalar, openblas, native */
    const iq_kernel_set *set; /* native, openblas: of the machine's best instruction set; else NULL */
    const char *precision;    /* static: highest, high, medium */
    iq_type type;             /* of values between layers */
    const iq_bf16_set *bf16;  /* of high and medium; else NULL */
    const char *why;          /* it is not the precision that was wanted, for a log: static; NULL: it is */
} iq_engine;

/** auto: native where the machine can, else openblas where it is built in, else scalar.
 *  @param wanted "auto", NULL or an engine's name @param isa the most that our own kernels may use: "avx512", "avx2",
 * "scalar", or NULL @return IMGQ_OK; IMGQ_E_UNSUPPORTED (names the choices) */
IMGQ_CHECKED imgq_status iq_dispatch_engine(const char *wanted, const char *isa, iq_engine *engine, imgq_error *err);
/** Makes it an engine of the wanted precision if machine and mask allow, and if that is faster here than "highest": the
 *  loops of nn/kernels/peak.h are run for some tenths of a millisecond.
 *  @param wanted "highest", NULL, "high" or "medium" @param set NULL: the machine's @param engine as
 * iq_dispatch_engine() made it */
void iq_dispatch_precision(const char *wanted, const char *isa, const iq_bf16_set *set, iq_engine *engine);
/** Back to "highest". @param why static */
void iq_dispatch_highest(iq_engine *engine, const char *why);
/** The engine's way to compute this convolution: of its kernels that fit the one that costs least, of equals the first
 *  of the table. NULL: none makes these values of these; never so where all are IQ_F32. */
const iq_conv_kernel *iq_dispatch_conv(const iq_engine *engine, const iq_conv *conv);
/** Calls every prepare of the engine's kernels. */
void iq_dispatch_prepare(const iq_engine *engine);

#endif
