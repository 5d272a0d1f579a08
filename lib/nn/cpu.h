/* The thread's floating-point mode during a forward pass: round to nearest, denormals are zero, nothing traps. */
#ifndef IQ_NN_CPU_H
#define IQ_NN_CPU_H

#include <stdint.h>

/** @return what iq_fp_leave() restores, flags included */
uint64_t iq_fp_enter(void);
void iq_fp_leave(uint64_t saved);

#endif
