/* An env whose n-th allocation fails and that counts its live bytes: each scenario must survive every n. */
#ifndef TEST_FAILING_ALLOC_H
#define TEST_FAILING_ALLOC_H

#include <stddef.h>

#include <imgq/env.h>

/** nth 0: never fails. One at a time; threads may allocate in it. @return owned, imgq_env_destroy(); NULL if the
 *  env's own allocation was the nth (an IMGQ_E_NOMEM of its own) */
imgq_env *failing_env(size_t nth);
/** Bytes that live now in the last failing_env(). */
size_t failing_live_bytes(void);
/** True once the nth allocation was asked for (and refused). */
int failing_has_failed(void);

#endif
