/* Walks a Keras file as Keras itself does: the attribute layer_names, then each layer's attribute weight_names, then
 * the datasets that they name. Nothing outside the file is followed, and no size is believed before it is checked. */
#include "import/keras_h5.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/checked.h"
#include "base/fail.h"
#include "base/json.h"
#include "import/import.h"
#include "import/keras_config.h"
#include "import/keras_names.h"

#include <hdf5.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NAMES_MAX = IQ_WEIGHTS_MAX, TEXT_MAX = 64 << 20 };

typedef struct reader {
    imgq_env *env;
    iq_weights *set;
    const char *path;       /* as shown in messages */
    hid_t file, root;       /* root: the group that holds the layers */
    size_t bytes;           /* of all tensors so far */
    const uint8_t *mapping; /* the file */
    size_t mapping_len;
} reader;

/* A list of names in one block: count pointers into text. */
typedef struct name_list {
    iq_buf text; /* each name with its zero */
    size_t count;
} name_list;

/* --- what libhdf5 says when it fails --- */

static herr_t keep_innermost(unsigned depth, const H5E_error2_t *entry, void *user)
{
    (void)depth;
    char *text = user; /* of 128 bytes; the walk goes from the cause outwards, so the first entry stays */
    if (text[0] == '\0' && entry->desc != NULL)
        snprintf(text, 128, "%.127s", entry->desc);
    return 0;
}

static imgq_status fail_hdf5(const reader *r, imgq_error *err, const char *attempt, const char *what)
{
    char cause[128] = "";
    unsigned long long there = 0, wanted = 0;
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, cause);
    if (sscanf(cause, "truncated file: eof = %llu, sblock->base_addr = %*u, stored_eof = %llu", &there, &wanted) == 2)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "%s is truncated: %llu of %llu bytes are there", r->path, there, wanted);
    return iq_fail(err, IMGQ_E_CORRUPT, 0, "%s %s in %s: %s", attempt, what, r->path,
                   cause[0] != '\0' ? cause : "damaged");
}

/* --- attributes that hold texts --- */

static bool add_name(reader *r, name_list *list, const char *text, size_t len)
{
    list->count++;
    return iq_buf_append(r->env, &list->text, text, len) && iq_buf_append(r->env, &list->text, "", 1);
}

static imgq_status read_variable_texts(reader *r, hid_t attr, hid_t type, hid_t space, size_t count, name_list *list,
                                       imgq_error *err)
{
    imgq_status status = IMGQ_OK;
    char **texts = iq_alloc_array(r->env, count, sizeof *texts);
    if (texts == NULL)
        return iq_fail_nomem(err, count * sizeof *texts);
    if (H5Aread(attr, type, texts) < 0) {
        iq_free(r->env, texts);
        return fail_hdf5(r, err, "read", "names");
    }
    for (size_t i = 0; i < count; i++)
        if (!add_name(r, list, texts[i] != NULL ? texts[i] : "", texts[i] != NULL ? strlen(texts[i]) : 0))
            status = iq_fail_nomem(err, list->text.len);
    (void)H5Dvlen_reclaim(type, space, H5P_DEFAULT, texts); /* nothing to do if freeing fails */
    iq_free(r->env, texts);
    return status;
}

static imgq_status read_fixed_texts(reader *r, hid_t attr, hid_t type, size_t count, name_list *list, imgq_error *err)
{
    size_t each = H5Tget_size(type), bytes = 0;
    if (each == 0 || iq_mul_size(&bytes, each, count) || bytes > TEXT_MAX)
        return iq_fail(err, IMGQ_E_LIMIT, 0, "%s holds %zu names of %zu bytes", r->path, count, each);
    imgq_status status = IMGQ_OK;
    char *texts = iq_alloc(r->env, bytes);
    if (texts == NULL)
        return iq_fail_nomem(err, bytes);
    if (H5Aread(attr, type, texts) < 0)
        status = fail_hdf5(r, err, "read", "names");
    for (size_t i = 0; status == IMGQ_OK && i < count; i++) {
        size_t len = strnlen(texts + i * each, each);
        while (len > 0 && H5Tget_strpad(type) == H5T_STR_SPACEPAD && texts[i * each + len - 1] == ' ')
            len--;
        if (!add_name(r, list, texts + i * each, len))
            status = iq_fail_nomem(err, list->text.len);
    }
    iq_free(r->env, texts);
    return status;
}

/* Appends the texts of one attribute. Keras writes an empty list as an empty array of numbers. */
static imgq_status read_attribute(reader *r, hid_t object, const char *name, name_list *list, imgq_error *err)
{
    imgq_status status = IMGQ_OK;
    hid_t attr = H5Aopen(object, name, H5P_DEFAULT);
    hid_t type = attr >= 0 ? H5Aget_type(attr) : -1;
    hid_t space = attr >= 0 ? H5Aget_space(attr) : -1;
    hssize_t count = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
    if (type < 0 || count < 0)
        status = fail_hdf5(r, err, "read attribute", name);
    else if (count == 0)
        status = IMGQ_OK;
    else if (H5Tget_class(type) != H5T_STRING)
        status = iq_fail(err, IMGQ_E_CORRUPT, 0, "attribute %s of %s is not text", name, r->path);
    else if ((size_t)count > NAMES_MAX - list->count)
        status =
            iq_fail(err, IMGQ_E_LIMIT, 0, "attribute %s of %s names more than %d things", name, r->path, NAMES_MAX);
    else if (H5Tis_variable_str(type) > 0)
        status = read_variable_texts(r, attr, type, space, (size_t)count, list, err);
    else
        status = read_fixed_texts(r, attr, type, (size_t)count, list, err);
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (attr >= 0)
        H5Aclose(attr);
    return status;
}

/* Keras splits a list over 64 KiB into name0, name1, ... */
static imgq_status read_names(reader *r, hid_t object, const char *name, const char *of, name_list *list,
                              imgq_error *err)
{
    if (H5Aexists(object, name) > 0)
        return read_attribute(r, object, name, list, err);
    char part[64];
    unsigned n = 0;
    for (; snprintf(part, sizeof part, "%s%u", name, n), n < NAMES_MAX && H5Aexists(object, part) > 0; n++) {
        imgq_status status = read_attribute(r, object, part, list, err);
        if (status != IMGQ_OK)
            return status;
    }
    if (n > 0)
        return IMGQ_OK;
    return iq_fail(err, IMGQ_E_CORRUPT, 0, "%.64s of %s has no attribute %s", of, r->path, name);
}

/* --- datasets --- */

/* A path of hard links only: an external link would read another file. */
static bool stays_inside(hid_t group, const char *name)
{
    char part[2 * IQ_TENSOR_NAME_MAX];
    size_t len = strlen(name);
    if (len == 0 || len >= sizeof part || name[0] == '/')
        return false;
    for (size_t end = 1; end <= len; end++) {
        H5L_info_t info;
        if (end < len && name[end] != '/')
            continue;
        memcpy(part, name, end);
        part[end] = '\0';
        if (H5Lexists(group, part, H5P_DEFAULT) <= 0 || H5Lget_info(group, part, &info, H5P_DEFAULT) < 0 ||
            info.type != H5L_TYPE_HARD)
            return false;
    }
    return true;
}

/* External and virtual datasets keep their bytes in other files. */
static bool holds_its_bytes(hid_t dataset)
{
    hid_t plist = H5Dget_create_plist(dataset);
    bool own = plist >= 0 && H5Pget_layout(plist) != H5D_VIRTUAL && H5Pget_external_count(plist) == 0;
    if (plist >= 0)
        H5Pclose(plist);
    return own;
}

static imgq_status get_shape(reader *r, hid_t space, const char *name, size_t *shape, uint32_t *rank, size_t *bytes,
                             imgq_error *err)
{
    hsize_t dims[H5S_MAX_RANK];
    int n = H5Sget_simple_extent_ndims(space);
    if (n < 0 || n > IQ_TENSOR_RANK_MAX || H5Sget_simple_extent_dims(space, dims, NULL) < 0)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "tensor %s in %s has %d dimensions", name, r->path, n);
    *bytes = sizeof(float);
    for (int i = 0; i < n; i++) {
        shape[i] = (size_t)dims[i];
        if (iq_mul_size(bytes, *bytes, shape[i]) || *bytes > IQ_IMPORT_MAX_BYTES - r->bytes)
            return iq_fail(err, IMGQ_E_LIMIT, 0, "tensor %s in %s brings the weights over %zu MiB", name, r->path,
                           IQ_IMPORT_MAX_BYTES >> 20);
    }
    *rank = (uint32_t)n;
    return IMGQ_OK;
}

/* Where the numbers lie in the file just as they are wanted, as Keras writes them. NULL: in another way. */
static const void *find_in_file(const reader *r, hid_t dataset, hid_t type, size_t bytes)
{
    hid_t plist = H5Dget_create_plist(dataset);
    const bool whole = plist >= 0 && H5Pget_layout(plist) == H5D_CONTIGUOUS && H5Tequal(type, H5T_IEEE_F32LE) > 0 &&
                       H5Dget_storage_size(dataset) == bytes;
    const haddr_t at = whole ? H5Dget_offset(dataset) : HADDR_UNDEF;
    if (plist >= 0)
        H5Pclose(plist);
    if (at == HADDR_UNDEF || at > r->mapping_len || bytes > r->mapping_len - at)
        return NULL;
    return r->mapping + at;
}

/* @param out memory of the set's */
static imgq_status get_data(reader *r, hid_t dataset, hid_t type, const char *name, size_t bytes, const void **out,
                            imgq_error *err)
{
    *out = find_in_file(r, dataset, type, bytes);
    if (*out != NULL)
        return IMGQ_OK;
    void *copy = iq_weights_alloc(r->set, bytes);
    if (copy == NULL)
        return iq_fail_nomem(err, bytes);
    if (bytes > 0 && H5Dread(dataset, H5T_IEEE_F32LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, copy) < 0)
        return fail_hdf5(r, err, "read tensor", name);
    *out = copy;
    return IMGQ_OK;
}

static imgq_status read_dataset(reader *r, hid_t dataset, const char *name, imgq_error *err)
{
    imgq_status status = IMGQ_OK;
    size_t shape[IQ_TENSOR_RANK_MAX], bytes = 0;
    uint32_t rank = 0;
    const void *data = NULL;
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    if (type < 0 || space < 0)
        status = fail_hdf5(r, err, "open tensor", name);
    else if (!holds_its_bytes(dataset))
        status = iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "tensor %s of %s keeps its bytes in another file", name, r->path);
    else if (H5Tget_class(type) != H5T_FLOAT || H5Tget_size(type) > sizeof(double))
        status = iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "tensor %s in %s is not of floating-point numbers", name, r->path);
    else
        status = get_shape(r, space, name, shape, &rank, &bytes, err);
    if (status == IMGQ_OK)
        status = get_data(r, dataset, type, name, bytes, &data, err);
    if (status == IMGQ_OK)
        status = iq_weights_add(r->set, name, IQ_DTYPE_F32, shape, rank, data, bytes, err);
    r->bytes += bytes;
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    return status;
}

static imgq_status read_variable(reader *r, hid_t group, const char *layer, const char *variable, imgq_error *err)
{
    char name[IQ_TENSOR_NAME_MAX + 1];
    imgq_status status = iq_keras_name(layer, variable, name, err);
    if (status != IMGQ_OK)
        return status;
    if (strstr(name, "/seed_generator_state") != NULL) /* Keras 3 keeps a Dropout's random state among the weights */
        return IMGQ_OK;
    if (!stays_inside(group, variable))
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "tensor %s is missing in %s: %.64s names it and does not hold it", name,
                       r->path, layer);
    hid_t dataset = H5Dopen2(group, variable, H5P_DEFAULT);
    if (dataset < 0)
        return fail_hdf5(r, err, "open tensor", name);
    status = read_dataset(r, dataset, name, err);
    H5Dclose(dataset);
    return status;
}

static imgq_status read_layer(reader *r, const char *layer, imgq_error *err)
{
    name_list variables = {.text.max = TEXT_MAX};
    imgq_status status;
    if (!stays_inside(r->root, layer))
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "layer %.64s is missing in %s: layer_names names it", layer, r->path);
    hid_t group = H5Gopen2(r->root, layer, H5P_DEFAULT);
    if (group < 0)
        return fail_hdf5(r, err, "open layer", layer);
    status = read_names(r, group, "weight_names", layer, &variables, err);
    const char *variable = (const char *)variables.text.data;
    for (size_t i = 0; status == IMGQ_OK && i < variables.count; i++, variable += strlen(variable) + 1)
        status = read_variable(r, group, layer, variable, err);
    iq_buf_release(r->env, &variables.text);
    H5Gclose(group);
    return status;
}

/* --- the file --- */

/* Of the very file that the library has open, whatever its name stands for by now. */
static imgq_status map_file(reader *r, hid_t access, imgq_error *err)
{
    void *handle = NULL;
    if (H5Pget_driver(access) != H5FD_SEC2 || H5Fget_vfd_handle(r->file, access, &handle) < 0)
        return IMGQ_OK; /* then everything is read */
    const int file = fcntl(*(int *)handle, F_DUPFD_CLOEXEC, 3);
    if (file < 0)
        return iq_fail(err, IMGQ_E_IO, errno, "open %s once more", r->path);
    return iq_weights_map(r->set, file, NULL, &r->mapping, &r->mapping_len, err);
}

static imgq_status open_file(reader *r, imgq_error *err)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
#if H5_VERSION_GE(1, 10, 7)
    if (access >= 0)
        (void)H5Pset_file_locking(access, false, true); /* we only read, and some file systems know no locks */
#endif
    r->file = access >= 0 ? H5Fopen(r->set->path, H5F_ACC_RDONLY, access) : -1;
    imgq_status status =
        r->file < 0 ? fail_hdf5(r, err, "open", "the file") : IMGQ_OK; /* before another call clears why */
    if (status == IMGQ_OK)
        status = map_file(r, access, err);
    if (access >= 0)
        H5Pclose(access);
    if (status != IMGQ_OK)
        return status;
    bool whole_model = H5Lexists(r->file, "model_weights", H5P_DEFAULT) > 0;
    r->root = H5Gopen2(r->file, whole_model ? "model_weights" : "/", H5P_DEFAULT);
    if (r->root < 0)
        return fail_hdf5(r, err, "open", "model_weights");
    if (H5Aexists(r->root, "layer_names") > 0 || H5Aexists(r->root, "layer_names0") > 0)
        return IMGQ_OK;
    if (H5Lexists(r->file, "layers", H5P_DEFAULT) > 0 ||
        H5Lexists(r->file, "_layer_checkpoint_dependencies", H5P_DEFAULT) > 0)
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0,
                       "%s is a Keras 3 weights file, which has no layer names; save the model as .h5 instead",
                       r->path);
    return iq_fail(err, IMGQ_E_FORMAT, 0, "%s is an HDF5 file without Keras weights: it has no layer_names", r->path);
}

static imgq_status read_config(reader *r, imgq_error *err)
{
    name_list texts = {.text.max = TEXT_MAX};
    iq_json *config = NULL;
    imgq_status status = IMGQ_OK;
    if (H5Aexists(r->file, "model_config") <= 0)
        return IMGQ_OK;
    status = read_attribute(r, r->file, "model_config", &texts, err);
    if (status == IMGQ_OK && texts.count == 1) {
        status = iq_json_parse((const char *)texts.text.data, texts.text.len - 1, &config, err);
        if (status == IMGQ_OK)
            status = iq_keras_config_read(r->set, config, err);
        if (status != IMGQ_OK)
            status = iq_fail_prefix(err, status, "model_config of %s", r->path);
    }
    iq_json_free(config);
    iq_buf_release(r->env, &texts.text);
    return status;
}

static imgq_status read_file(reader *r, imgq_error *err)
{
    name_list layers = {.text.max = TEXT_MAX};
    imgq_status status = open_file(r, err);
    if (status == IMGQ_OK)
        status = read_config(r, err);
    if (status == IMGQ_OK)
        status = read_names(r, r->root, "layer_names", "the root", &layers, err);
    const char *layer = (const char *)layers.text.data;
    for (size_t i = 0; status == IMGQ_OK && i < layers.count; i++, layer += strlen(layer) + 1)
        status = read_layer(r, layer, err);
    if (status == IMGQ_OK && r->set->count == 0)
        status = iq_fail(err, IMGQ_E_FORMAT, 0, "%s holds no weights: none of its %zu layers has any", r->path,
                         layers.count);
    iq_buf_release(r->env, &layers.text);
    if (r->root >= 0)
        H5Gclose(r->root);
    if (r->file >= 0)
        H5Fclose(r->file);
    return status;
}

imgq_status iq_keras_h5_open(imgq_env *env, const char *path, iq_weights **out, imgq_error *err)
{
    reader r = {.env = env, .path = iq_import_shown(path), .file = -1, .root = -1};
    H5E_auto2_t print = NULL;
    void *print_user = NULL;
    *out = NULL;
    imgq_status status = iq_weights_create(env, IQ_SOURCE_KERAS_H5, path, &r.set, err);
    if (status != IMGQ_OK)
        return status;
    (void)H5Eget_auto2(H5E_DEFAULT, &print, &print_user); /* both can only fail on a bad stack id */
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    status = read_file(&r, err);
    (void)H5Eset_auto2(H5E_DEFAULT, print, print_user);
    if (status != IMGQ_OK) {
        iq_weights_destroy(r.set);
        return iq_import_one_line(err, status);
    }
    *out = r.set;
    return IMGQ_OK;
}
