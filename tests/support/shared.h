/* Weights, photos and oracles that tests take from outside the tree (environment IMGQ_SHARED, default ../shared). */
#ifndef TEST_SHARED_H
#define TEST_SHARED_H

#include <stdbool.h>

/** "<shared>/relative", static until the next eight calls. */
const char *shared_path(const char *relative);
/** False, after saying what is skipped, where the folder is not there. */
bool shared_is_there(void);
/** "<source>/relative" and "<build>/bin/relative": environment IMGQ_SOURCE and IMGQ_BIN, set by ctest. */
const char *source_path(const char *relative);
const char *bin_path(const char *relative);
/** "<build>/tests/weights/relative": what models/convert.py wrote there (ctest fixture model_weights; environment
 *  IMGQ_WEIGHTS). */
const char *weights_path(const char *relative);

#endif
