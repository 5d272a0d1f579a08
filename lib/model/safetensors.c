/* Maps a safetensors file and believes nothing that its header says before it is checked: every offset, every size,
 * no hole and no overlap. */
#include "model/safetensors.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/fail.h"
#include "base/json.h"
#include "model/told.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LENGTH_BYTES = 8, HEADER_MAX = 64 << 20 };

typedef struct dtype_name {
    const char *name;
    uint32_t dtype;
    size_t size; /* bits */
} dtype_name;

static const dtype_name dtypes[] = {
    {"F32", IQ_DTYPE_F32, 32},   {"F16", IQ_DTYPE_F16, 16},      {"BF16", IQ_DTYPE_BF16, 16},
    {"F64", IQ_DTYPE_OTHER, 64}, {"I64", IQ_DTYPE_OTHER, 64},    {"U64", IQ_DTYPE_OTHER, 64},
    {"I32", IQ_DTYPE_OTHER, 32}, {"U32", IQ_DTYPE_OTHER, 32},    {"I16", IQ_DTYPE_OTHER, 16},
    {"U16", IQ_DTYPE_OTHER, 16}, {"I8", IQ_DTYPE_OTHER, 8},      {"U8", IQ_DTYPE_OTHER, 8},
    {"BOOL", IQ_DTYPE_OTHER, 8}, {"F8_E4M3", IQ_DTYPE_OTHER, 8}, {"F8_E5M2", IQ_DTYPE_OTHER, 8},
};

/* The tensors' bytes: where they start and how many there are. */
typedef struct body {
    const uint8_t *bytes;
    size_t len;
} body;

static imgq_status refuse_header(const iq_weights *set, const char *why, imgq_error *err)
{
    return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: its header %s", iq_shown_path(set->path), why);
}

static imgq_status refuse_entry(const iq_weights *set, const char *name, const char *why, imgq_error *err)
{
    return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: tensor '%.80s' %s", iq_shown_path(set->path), name, why);
}

static const dtype_name *find_dtype(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return &dtypes[i];
    return NULL;
}

/* A JSON number that is a size; false for any other value. */
static bool json_size(const iq_json *value, size_t *out)
{
    uint64_t number;
    if (!iq_json_uint(value, &number) || number > SIZE_MAX)
        return false;
    *out = (size_t)number;
    return true;
}

static imgq_status read_shape(const iq_weights *set, const char *name, const iq_json *list, size_t *shape,
                              uint32_t *rank, imgq_error *err)
{
    *rank = 0;
    if (!iq_json_is_array(list))
        return refuse_entry(set, name, "has no shape", err);
    if (iq_json_count(list) > IQ_TENSOR_RANK_MAX)
        return refuse_entry(set, name, "has too many dimensions", err);
    for (const iq_json *item = iq_json_first(list); item != NULL; item = iq_json_next(item))
        if (!json_size(item, &shape[(*rank)++]))
            return refuse_entry(set, name, "has a shape that is not made of whole numbers", err);
    return IMGQ_OK;
}

/* Types that the network does not read have their size checked here; the others' in iq_weights_add(). */
static bool size_fits(const dtype_name *type, const size_t *shape, uint32_t rank, size_t bytes)
{
    size_t bits = type->size;
    for (uint32_t d = 0; d < rank; d++)
        if (iq_mul_size(&bits, bits, shape[d]))
            return false;
    return bits % 8 == 0 && bits / 8 == bytes;
}

static imgq_status add_entry(iq_weights *set, const body *data, const char *name, const iq_json *entry, imgq_error *err)
{
    const char *type_name = iq_json_text(iq_json_get(entry, "dtype"));
    if (!iq_is_printable(name) || (type_name != NULL && !iq_is_printable(type_name)))
        return refuse_header(set, "has a name with control characters", err);
    if (!iq_json_is_object(entry) || type_name == NULL)
        return refuse_entry(set, name, "has no dtype", err);
    const dtype_name *type = find_dtype(type_name);
    if (type == NULL)
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "read model %s: tensor '%.80s' has the unknown dtype '%.20s'",
                       iq_shown_path(set->path), name, type_name);
    size_t shape[IQ_TENSOR_RANK_MAX] = {0}, begin, end;
    uint32_t rank;
    imgq_status status = read_shape(set, name, iq_json_get(entry, "shape"), shape, &rank, err);
    if (status != IMGQ_OK)
        return status;
    const iq_json *offsets = iq_json_get(entry, "data_offsets");
    if (!iq_json_is_array(offsets) || iq_json_count(offsets) != 2 || !json_size(iq_json_at(offsets, 0), &begin) ||
        !json_size(iq_json_at(offsets, 1), &end) || begin > end)
        return refuse_entry(set, name, "has no data_offsets of two rising numbers", err);
    if (end > data->len)
        return iq_fail(err, IMGQ_E_CORRUPT, 0,
                       "read model %s: tensor '%.80s' ends at byte %zu of %zu: the file is truncated",
                       iq_shown_path(set->path), name, end, data->len);
    if (type->dtype == IQ_DTYPE_OTHER && !size_fits(type, shape, rank, end - begin))
        return refuse_entry(set, name, "has another size than its type and shape ask for", err);
    return iq_weights_add(set, name, type->dtype, shape, rank, data->bytes + begin, end - begin, err);
}

static imgq_status add_metadata(iq_weights *set, const iq_json *object, imgq_error *err)
{
    if (!iq_json_is_object(object))
        return refuse_header(set, "has a __metadata__ that is no object", err);
    imgq_status status = IMGQ_OK;
    for (const iq_json *item = iq_json_first(object); item != NULL && status == IMGQ_OK; item = iq_json_next(item)) {
        if (iq_json_text(item) == NULL)
            return refuse_header(set, "has metadata that is no text", err);
        status = iq_weights_set_meta(set, iq_json_key(item), iq_json_text(item), err);
    }
    return status;
}

static int by_offset(const void *a, const void *b)
{
    const iq_tensor_view *x = *(const iq_tensor_view *const *)a, *y = *(const iq_tensor_view *const *)b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Tensors in the order of their offsets touch each other, from the first byte to the last. */
static imgq_status check_layout(const iq_weights *set, const body *data, imgq_error *err)
{
    const iq_tensor_view **sorted = iq_alloc_array(set->env, set->count, sizeof *sorted);
    if (sorted == NULL)
        return iq_fail_nomem(err, set->count * sizeof *sorted);
    for (size_t i = 0; i < set->count; i++)
        sorted[i] = &set->tensors[i];
    qsort(sorted, set->count, sizeof *sorted, by_offset);
    imgq_status status = IMGQ_OK;
    const uint8_t *at = data->bytes;
    for (size_t i = 0; i < set->count && status == IMGQ_OK; i++) {
        if (sorted[i]->data != at)
            status = refuse_entry(set, sorted[i]->name,
                                  sorted[i]->data < at ? "overlaps another one" : "has a hole before it", err);
        at = sorted[i]->data + sorted[i]->bytes;
    }
    if (status == IMGQ_OK && at != data->bytes + data->len)
        status = iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: %zu bytes behind the last tensor belong to none",
                         iq_shown_path(set->path), (size_t)(data->bytes + data->len - at));
    iq_free(set->env, sorted);
    return status;
}

static imgq_status parse_header(iq_weights *set, const iq_json *header, const body *data, imgq_error *err)
{
    if (!iq_json_is_object(header))
        return refuse_header(set, "is no JSON object", err);
    imgq_status status = IMGQ_OK;
    for (const iq_json *item = iq_json_first(header); item != NULL && status == IMGQ_OK; item = iq_json_next(item)) {
        if (strcmp(iq_json_key(item), "__metadata__") == 0)
            status = add_metadata(set, item, err);
        else
            status = add_entry(set, data, iq_json_key(item), item, err);
    }
    return status == IMGQ_OK ? check_layout(set, data, err) : status;
}

imgq_status iq_safetensors_parse(iq_weights *set, const uint8_t *bytes, size_t len, imgq_error *err)
{
    const uint64_t header_len = len > LENGTH_BYTES ? iq_load_le64(bytes) : 0;
    if (header_len < 2 || header_len > HEADER_MAX || bytes[LENGTH_BYTES] != '{')
        return iq_weights_refuse(set->path, bytes, len, "a safetensors file", err);
    if (header_len > len - LENGTH_BYTES)
        return iq_fail(err, IMGQ_E_CORRUPT, 0,
                       "read model %s: its header of %zu bytes ends behind the file's %zu: the file is truncated",
                       iq_shown_path(set->path), (size_t)header_len, len);
    const body data = {bytes + LENGTH_BYTES + header_len, len - LENGTH_BYTES - (size_t)header_len};
    iq_json *header = NULL;
    imgq_status status = iq_json_parse((const char *)bytes + LENGTH_BYTES, (size_t)header_len, &header, err);
    if (status == IMGQ_E_FORMAT)
        return iq_fail_prefix(err, IMGQ_E_CORRUPT, "read model %s: its header", iq_shown_path(set->path));
    if (status == IMGQ_OK)
        status = parse_header(set, header, &data, err);
    iq_json_free(header);
    return status;
}

static imgq_status fail_io(const char *path, int sys_errno, imgq_error *err)
{
    char why[96];
    return iq_fail(err, sys_errno == ENOENT || sys_errno == ENOTDIR ? IMGQ_E_NOTFOUND : IMGQ_E_IO, sys_errno,
                   "read model %s: %s", iq_shown_path(path), iq_strerror(sys_errno, why, sizeof why));
}

imgq_status iq_weights_open_safetensors(imgq_env *env, const char *path, iq_weights **out, imgq_error *err)
{
    *out = NULL;
    iq_weights *set = NULL;
    const uint8_t *bytes;
    size_t len;
    /* Not blocking: a pipe that nobody writes to must not hold us. */
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return fail_io(path, errno, err);
    imgq_status status = iq_weights_create(env, IQ_SOURCE_SAFETENSORS, path, &set, err);
    if (status == IMGQ_OK)
        status = iq_weights_map(set, file, NULL, &bytes, &len, err);
    else
        close(file);
    if (status == IMGQ_OK)
        status = iq_safetensors_parse(set, bytes, len, err);
    if (status == IMGQ_OK)
        status = iq_told_by_file(set, err);
    if (status != IMGQ_OK) {
        iq_weights_destroy(set);
        return status;
    }
    *out = set;
    return IMGQ_OK;
}
