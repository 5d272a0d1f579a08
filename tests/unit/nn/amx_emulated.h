/* A tile unit in plain C, under the very body of the AMX kernels: what they compute, on machines without one. */
#ifndef AMX_EMULATED_H
#define AMX_EMULATED_H

#include "nn/kernels/bf16.h"

/** Aborts where the processor would raise an exception: on tiles that are not configured, or do not fit each other. */
extern const iq_bf16_set amx_emulated;

#endif
