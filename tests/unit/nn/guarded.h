/* Memory whose neighbours cannot be touched. */
#ifndef GUARDED_H
#define GUARDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bytes between two pages that nobody may touch: right before the end, or right behind the start. */
typedef struct guarded {
    uint8_t *block;
    size_t block_bytes;
    void *data;
} guarded;

/** Zeroed. @param alignment of data, which so may end some bytes before the page */
guarded guarded_begin(size_t bytes, bool at_end, size_t alignment);
void guarded_end(const guarded *g);

#endif
