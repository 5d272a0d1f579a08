/* libjpeg's memory from the env's allocator, with a ceiling. */
#ifndef IQ_IMAGE_JPEG_MEMORY_H
#define IQ_IMAGE_JPEG_MEMORY_H

#include <stddef.h>
#include <stdio.h>

#include <imgq/env.h>

#include <jpeglib.h>

typedef struct iq_jpeg_block iq_jpeg_block;

/** Lives as long as the decompressor that it serves; zeroed is empty. Only jpeg_create_decompress()'s own few KiB
 *  (its markers' state, taken before anyone can step in) still come from malloc. */
typedef struct iq_jpeg_memory {
    struct jpeg_memory_mgr methods; /* first: libjpeg hands a pointer to it, we widen it back */
    struct jpeg_memory_mgr *own;    /* libjpeg's, kept for its end */
    imgq_env *env;
    size_t used, max; /* bytes; past max libjpeg's out-of-memory error is raised */
    iq_jpeg_block *blocks[JPOOL_NUMPOOLS];
    struct jvirt_sarray_control *sample_arrays;
    struct jvirt_barray_control *block_arrays;
} iq_jpeg_memory;

/** Call right after jpeg_create_decompress(); jpeg_destroy() gives everything back. cinfo's error_exit must not return.
 */
void iq_jpeg_memory_install(iq_jpeg_memory *memory, imgq_env *env, size_t max, j_common_ptr cinfo);

#endif
