/* Images of every kind, good and damaged, without end. */
#ifndef SOAK_MATERIALS_H
#define SOAK_MATERIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct materials materials;

/** The project's own pictures and the seeds of its fuzzers; with them the shared folder's broken files, where they are.
 *  Ends the program if there are none. @param photos  also the shared folder's two, where they are @return owned,
 * materials_free() */
materials *materials_read(uint64_t seed, bool photos);
/** The next one: a file as it is, or, three times out of ten, one cut short or with some bytes changed.
 *  @param only_good  pictures that decode, as they are @return its bytes, borrowed until the next call */
const uint8_t *materials_next(materials *m, bool only_good, size_t *len);
size_t materials_count(const materials *m);
void materials_free(materials *m);

#endif
