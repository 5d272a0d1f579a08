/* A memory manager for libjpeg: its own counts nothing and calls malloc, so neither a host's limit nor a test that
 * lets the n-th allocation fail would reach it. Whole-image arrays stay in memory; there are no temporary files. */
#include "image/jpeg_memory.h"

#include "base/alloc.h"
#include "base/checked.h"

#include <jerror.h>

#include <string.h>

/* The SIMD code loads and stores whole vectors, so rows begin aligned and are padded to two of them. */
enum { ALIGNMENT = 32, ROW_PADDING = 2 * ALIGNMENT };

struct iq_jpeg_block {
    iq_jpeg_block *next;
    size_t size; /* with this head */
    _Alignas(ALIGNMENT) uint8_t payload[];
};

struct jvirt_sarray_control {
    JSAMPARRAY rows; /* NULL until realized */
    JDIMENSION row_count, row_samples, max_access;
    JDIMENSION first_undefined; /* rows from here on hold nothing yet */
    boolean pre_zero;
    struct jvirt_sarray_control *next;
};

struct jvirt_barray_control {
    JBLOCKARRAY rows;
    JDIMENSION row_count, row_blocks, max_access;
    JDIMENSION first_undefined;
    boolean pre_zero;
    struct jvirt_barray_control *next;
};

static iq_jpeg_memory *memory_of(j_common_ptr cinfo)
{
    return (iq_jpeg_memory *)cinfo->mem;
}

/* Does not return when memory ran out or the ceiling is reached: error_exit jumps. */
static void *take(j_common_ptr cinfo, int pool, size_t size)
{
    iq_jpeg_memory *memory = memory_of(cinfo);
    size_t whole = 0, used = 0;
    if (pool < 0 || pool >= JPOOL_NUMPOOLS)
        ERREXIT1(cinfo, JERR_BAD_POOL_ID, pool);
    if (iq_add_size(&whole, size, sizeof(iq_jpeg_block)) || iq_add_size(&used, memory->used, whole) ||
        used > memory->max)
        ERREXIT1(cinfo, JERR_OUT_OF_MEMORY, 0);
    iq_jpeg_block *block = iq_alloc_aligned(memory->env, whole, ALIGNMENT);
    if (block == NULL)
        ERREXIT1(cinfo, JERR_OUT_OF_MEMORY, 0);
    memory->used = used;
    block->size = whole;
    block->next = memory->blocks[pool];
    memory->blocks[pool] = block;
    return block->payload;
}

/* One block: the row pointers, then the rows. */
static void *take_rows(j_common_ptr cinfo, int pool, size_t row_size, JDIMENSION row_count)
{
    size_t pointers = 0, rows = 0, size = 0;
    if (iq_mul_size(&pointers, row_count, sizeof(void *)) || iq_add_size(&pointers, pointers, ALIGNMENT - 1) ||
        iq_mul_size(&rows, row_count, row_size) || iq_add_size(&size, pointers, rows))
        ERREXIT1(cinfo, JERR_OUT_OF_MEMORY, 0);
    pointers -= pointers % ALIGNMENT;
    uint8_t *base = take(cinfo, pool, size);
    uint8_t **row = (uint8_t **)(void *)base;
    for (JDIMENSION i = 0; i < row_count; i++)
        row[i] = base + pointers + i * row_size;
    return base;
}

static size_t sample_row_size(JDIMENSION samples)
{
    return ((size_t)samples * sizeof(JSAMPLE) + ROW_PADDING - 1) / ROW_PADDING * ROW_PADDING;
}

static JSAMPARRAY take_samples(j_common_ptr cinfo, int pool, JDIMENSION row_samples, JDIMENSION row_count)
{
    return take_rows(cinfo, pool, sample_row_size(row_samples), row_count);
}

static JBLOCKARRAY take_blocks(j_common_ptr cinfo, int pool, JDIMENSION row_blocks, JDIMENSION row_count)
{
    return take_rows(cinfo, pool, (size_t)row_blocks * sizeof(JBLOCK), row_count);
}

static jvirt_sarray_ptr request_samples(j_common_ptr cinfo, int pool, boolean pre_zero, JDIMENSION row_samples,
                                        JDIMENSION row_count, JDIMENSION max_access)
{
    iq_jpeg_memory *memory = memory_of(cinfo);
    if (pool != JPOOL_IMAGE)
        ERREXIT1(cinfo, JERR_BAD_POOL_ID, pool);
    struct jvirt_sarray_control *array = take(cinfo, pool, sizeof *array);
    *array = (struct jvirt_sarray_control){.row_count = row_count,
                                           .row_samples = row_samples,
                                           .max_access = max_access,
                                           .pre_zero = pre_zero,
                                           .next = memory->sample_arrays};
    memory->sample_arrays = array;
    return array;
}

static jvirt_barray_ptr request_blocks(j_common_ptr cinfo, int pool, boolean pre_zero, JDIMENSION row_blocks,
                                       JDIMENSION row_count, JDIMENSION max_access)
{
    iq_jpeg_memory *memory = memory_of(cinfo);
    if (pool != JPOOL_IMAGE)
        ERREXIT1(cinfo, JERR_BAD_POOL_ID, pool);
    struct jvirt_barray_control *array = take(cinfo, pool, sizeof *array);
    *array = (struct jvirt_barray_control){.row_count = row_count,
                                           .row_blocks = row_blocks,
                                           .max_access = max_access,
                                           .pre_zero = pre_zero,
                                           .next = memory->block_arrays};
    memory->block_arrays = array;
    return array;
}

static void realize(j_common_ptr cinfo)
{
    iq_jpeg_memory *memory = memory_of(cinfo);
    for (struct jvirt_sarray_control *array = memory->sample_arrays; array != NULL; array = array->next)
        if (array->rows == NULL)
            array->rows = take_samples(cinfo, JPOOL_IMAGE, array->row_samples, array->row_count);
    for (struct jvirt_barray_control *array = memory->block_arrays; array != NULL; array = array->next)
        if (array->rows == NULL)
            array->rows = take_blocks(cinfo, JPOOL_IMAGE, array->row_blocks, array->row_count);
}

/* Rows are zeroed when they are first asked for, so an image that ends early never touches the rest of its memory.
 * Answers the first row to zero; rows [it, end) are then defined, if they are about to be written. */
static JDIMENSION check_access(j_common_ptr cinfo, JDIMENSION start, JDIMENSION end, JDIMENSION row_count,
                               JDIMENSION *first_undefined, boolean pre_zero, boolean writable)
{
    if (end < start || end > row_count)
        ERREXIT(cinfo, JERR_BAD_VIRTUAL_ACCESS);
    if (*first_undefined >= end)
        return end;
    /* Writers go down row by row; a gap, or reading what nobody wrote, would be a bug in libjpeg. */
    if ((*first_undefined < start && writable) || (!pre_zero && !writable))
        ERREXIT(cinfo, JERR_BAD_VIRTUAL_ACCESS);
    const JDIMENSION from = *first_undefined < start ? start : *first_undefined;
    if (writable)
        *first_undefined = end;
    return pre_zero ? from : end;
}

static JSAMPARRAY access_samples(j_common_ptr cinfo, jvirt_sarray_ptr array, JDIMENSION start, JDIMENSION count,
                                 boolean writable)
{
    if (array->rows == NULL || count > array->max_access)
        ERREXIT(cinfo, JERR_BAD_VIRTUAL_ACCESS);
    const JDIMENSION end = start + count;
    for (JDIMENSION row =
             check_access(cinfo, start, end, array->row_count, &array->first_undefined, array->pre_zero, writable);
         row < end; row++)
        memset(array->rows[row], 0, sample_row_size(array->row_samples));
    return array->rows + start;
}

static JBLOCKARRAY access_blocks(j_common_ptr cinfo, jvirt_barray_ptr array, JDIMENSION start, JDIMENSION count,
                                 boolean writable)
{
    if (array->rows == NULL || count > array->max_access)
        ERREXIT(cinfo, JERR_BAD_VIRTUAL_ACCESS);
    const JDIMENSION end = start + count;
    for (JDIMENSION row =
             check_access(cinfo, start, end, array->row_count, &array->first_undefined, array->pre_zero, writable);
         row < end; row++)
        memset(array->rows[row], 0, (size_t)array->row_blocks * sizeof(JBLOCK));
    return array->rows + start;
}

static void free_pool(j_common_ptr cinfo, int pool)
{
    iq_jpeg_memory *memory = memory_of(cinfo);
    if (pool < 0 || pool >= JPOOL_NUMPOOLS)
        ERREXIT1(cinfo, JERR_BAD_POOL_ID, pool);
    if (pool == JPOOL_IMAGE) {
        memory->sample_arrays = NULL;
        memory->block_arrays = NULL;
    }
    while (memory->blocks[pool] != NULL) {
        iq_jpeg_block *block = memory->blocks[pool];
        memory->blocks[pool] = block->next;
        memory->used -= block->size;
        iq_free(memory->env, block);
    }
}

static void self_destruct(j_common_ptr cinfo)
{
    iq_jpeg_memory *memory = memory_of(cinfo);
    for (int pool = JPOOL_NUMPOOLS - 1; pool >= 0; pool--)
        free_pool(cinfo, pool);
    cinfo->mem = memory->own;
    memory->own->self_destruct(cinfo);
}

void iq_jpeg_memory_install(iq_jpeg_memory *memory, imgq_env *env, size_t max, j_common_ptr cinfo)
{
    *memory = (iq_jpeg_memory){.own = cinfo->mem, .env = env, .max = max};
    memory->methods = (struct jpeg_memory_mgr){
        .alloc_small = take,
        .alloc_large = take,
        .alloc_sarray = take_samples,
        .alloc_barray = take_blocks,
        .request_virt_sarray = request_samples,
        .request_virt_barray = request_blocks,
        .realize_virt_arrays = realize,
        .access_virt_sarray = access_samples,
        .access_virt_barray = access_blocks,
        .free_pool = free_pool,
        .self_destruct = self_destruct,
        .max_memory_to_use = 0,
        .max_alloc_chunk = cinfo->mem->max_alloc_chunk,
    };
    cinfo->mem = &memory->methods;
}
