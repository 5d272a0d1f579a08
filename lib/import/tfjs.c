/* model.json lists groups of weights; a group's weights lie one behind the other in its shards, whose borders mean
 * nothing. The shards' names come from the file, so they may lead nowhere but into its folder. */
#include "import/tfjs.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/fail.h"
#include "base/json.h"
#include "import/import.h"
#include "import/keras_config.h"
#include "import/keras_names.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SHARDS_MAX = 4096,
    MAPPED_SHARDS_MAX = 128, /* of a model: each holds a file open, and a host may have 1,024 */
    JSON_MAX = 64 << 20
};

typedef struct tfjs {
    imgq_env *env;
    iq_weights *set;
    char json_path[PATH_MAX];
    char folder[PATH_MAX]; /* with its last slash, or empty */
    const char *shown;     /* json_path in messages */
    iq_buf text;
    iq_json *root;
    size_t bytes;  /* of all tensors so far */
    size_t mapped; /* shards */
} tfjs;

/* --- model.json --- */

static imgq_status find_json(tfjs *t, const char *path, imgq_error *err)
{
    struct stat st;
    char why[128];
    if (stat(path, &st) != 0)
        return iq_fail(err, errno == ENOENT ? IMGQ_E_NOTFOUND : IMGQ_E_IO, errno, "open %s: %s", iq_import_shown(path),
                       iq_strerror(errno, why, sizeof why));
    int len = snprintf(t->json_path, sizeof t->json_path, "%s%s", path, S_ISDIR(st.st_mode) ? "/model.json" : "");
    if (len < 0 || (size_t)len >= sizeof t->json_path)
        return iq_fail(err, IMGQ_E_INVALID, 0, "the path %.64s... is too long", path);
    const char *slash = strrchr(t->json_path, '/');
    size_t folder_len = slash != NULL ? (size_t)(slash - t->json_path) + 1 : 0;
    memcpy(t->folder, t->json_path, folder_len);
    t->folder[folder_len] = '\0';
    t->shown = iq_import_shown(t->json_path);
    return IMGQ_OK;
}

static imgq_status read_json(tfjs *t, const char *path, imgq_error *err)
{
    imgq_status status = find_json(t, path, err);
    if (status == IMGQ_OK)
        status = iq_buf_read_file(t->env, &t->text, t->json_path, JSON_MAX, err);
    if (status != IMGQ_OK)
        return status;
    const char *text = (const char *)t->text.data;
    size_t blank = strspn(text != NULL ? text : "", " \t\r\n");
    if (t->text.len == blank || text[blank] != '{')
        return iq_weights_refuse(t->json_path, t->text.data, t->text.len < 512 ? t->text.len : 512,
                                 "a TensorFlow.js model.json", err);
    status = iq_json_parse(text, t->text.len, &t->root, err);
    if (status != IMGQ_OK)
        return iq_fail_prefix(err, status, "read %s", t->shown);
    const char *format = iq_json_text(iq_json_get(t->root, "format"));
    if (format != NULL && strcmp(format, "layers-model") != 0)
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "%s is a TensorFlow.js %.32s, only a layers-model is read here",
                       t->shown, format);
    if (!iq_json_is_array(iq_json_get(t->root, "weightsManifest")))
        return iq_fail(err, IMGQ_E_FORMAT, 0, "%s is JSON, but no TensorFlow.js model: it has no weightsManifest",
                       t->shown);
    return IMGQ_OK;
}

static imgq_status read_topology(tfjs *t, imgq_error *err)
{
    const iq_json *topology = iq_json_get(t->root, "modelTopology");
    const iq_json *config = iq_json_get(topology, "model_config");
    if (config == NULL)
        config = topology; /* models saved by TensorFlow.js itself */
    if (!iq_json_is_object(config))
        return IMGQ_OK;
    imgq_status status = iq_keras_config_read(t->set, config, err);
    return status == IMGQ_OK ? status : iq_fail_prefix(err, status, "modelTopology of %s", t->shown);
}

/* --- shards --- */

static bool stays_inside(const char *path)
{
    if (path[0] == '\0' || path[0] == '/' || strchr(path, '\\') != NULL)
        return false;
    for (const char *part = path; part != NULL; part = strchr(part, '/') != NULL ? strchr(part, '/') + 1 : NULL)
        if (part[0] == '.' && part[1] == '.' && (part[2] == '/' || part[2] == '\0'))
            return false;
    return true;
}

/* @param fd out, owned by the caller @param size out */
static imgq_status open_shard(const tfjs *t, const iq_json *entry, char *path, int *fd, size_t *size, imgq_error *err)
{
    struct stat st;
    char why[128];
    const char *name = iq_json_text(entry);
    if (name == NULL)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "%s names a shard that is not text", t->shown);
    if (!stays_inside(name))
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "%s names the shard \"%.64s\", which leaves its folder", t->shown, name);
    int len = snprintf(path, PATH_MAX, "%s%s", t->folder, name);
    if (len < 0 || len >= PATH_MAX)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "%s names a shard with a path of %zu bytes", t->shown, strlen(name));
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe of that name must not be waited for */
    if (*fd < 0)
        return iq_fail(err, errno == ENOENT ? IMGQ_E_CORRUPT : IMGQ_E_IO, errno, "open shard %s: %s",
                       iq_import_shown(path), iq_strerror(errno, why, sizeof why));
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(*fd);
        return iq_fail(err, IMGQ_E_IO, 0, "shard %s is not a file", iq_import_shown(path));
    }
    *size = (size_t)st.st_size;
    return IMGQ_OK;
}

static imgq_status read_bytes(int fd, const char *path, uint8_t *out, size_t len, imgq_error *err)
{
    char why[128];
    for (size_t done = 0; done < len;) {
        ssize_t n = read(fd, out + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return iq_fail(err, IMGQ_E_IO, errno, "read shard %s: %s", iq_import_shown(path),
                           iq_strerror(errno, why, sizeof why));
        if (n == 0)
            return iq_fail(err, IMGQ_E_CORRUPT, 0, "shard %s became shorter while it was read", iq_import_shown(path));
        done += (size_t)n;
    }
    return IMGQ_OK;
}

/* Small files that begin as text stand where a shard should be after a clone without Git LFS or a failed download. */
static bool looks_like_text(const uint8_t *head, size_t len)
{
    static const char *const starts[] = {"version https://git-lfs", "<!DOCTYPE", "<!doctype", "<html", "<HTML"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (len >= strlen(starts[i]) && memcmp(head, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

/* Before memory is taken for them: every shard is there, looks like numbers, and all hold what the weights ask for. */
static imgq_status check_shards(tfjs *t, const iq_json *paths, size_t total, imgq_error *err)
{
    char path[PATH_MAX];
    uint8_t head[512];
    size_t at = 0;
    for (const iq_json *entry = iq_json_first(paths); entry != NULL; entry = iq_json_next(entry)) {
        int fd = -1;
        size_t size = 0;
        imgq_status status = open_shard(t, entry, path, &fd, &size, err);
        if (status != IMGQ_OK)
            return status;
        ssize_t head_len = pread(fd, head, sizeof head, 0);
        close(fd);
        if (head_len > 0 && looks_like_text(head, (size_t)head_len))
            return iq_weights_refuse(path, head, (size_t)head_len, "a shard of weights", err);
        if (size > total - at)
            return iq_fail(err, IMGQ_E_CORRUPT, 0, "shard %s holds %zu bytes, its weights ask for %zu more",
                           iq_import_shown(path), size, total - at);
        at += size;
    }
    if (at < total)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "the shards of %s hold %zu bytes, its weights ask for %zu", t->shown, at,
                       total);
    return IMGQ_OK;
}

/* Shards as they are usually cut, in whole pages but for the last, are mapped one behind the other. @param out NULL:
 * they are cut otherwise, or too many */
static imgq_status map_shards(tfjs *t, const iq_json *paths, size_t total, const uint8_t **out, imgq_error *err)
{
    char path[PATH_MAX];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int fd = -1;
    size_t at = 0, size = 0;
    imgq_status status = IMGQ_OK;
    *out = NULL;
    t->mapped += iq_json_count(paths);
    if (t->mapped > MAPPED_SHARDS_MAX)
        return IMGQ_OK;
    for (const iq_json *entry = iq_json_first(paths); entry != NULL; entry = iq_json_next(entry), at += size) {
        if (at % page != 0)
            return IMGQ_OK;
        status = open_shard(t, entry, path, &fd, &size, err);
        if (status != IMGQ_OK)
            return status;
        close(fd);
    }
    uint8_t *block = at == total && total > 0 ? iq_weights_reserve(t->set, total) : NULL;
    if (block == NULL)
        return IMGQ_OK;
    at = 0;
    for (const iq_json *entry = iq_json_first(paths); entry != NULL; entry = iq_json_next(entry), at += size) {
        const uint8_t *mapped;
        size_t now = 0;
        status = open_shard(t, entry, path, &fd, &now, err);
        size = now < total - at ? now : total - at;
        if (status == IMGQ_OK)
            status = iq_weights_map(t->set, fd, block + at, &mapped, &size, err);
        if (status != IMGQ_OK)
            return status;
    }
    if (at != total)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "the shards of %s shrank while they were read", t->shown);
    *out = block;
    return IMGQ_OK;
}

/* @param at in and out: where the shard's bytes begin in the block */
static imgq_status read_shard(tfjs *t, const iq_json *entry, uint8_t *block, size_t total, size_t *at, imgq_error *err)
{
    char path[PATH_MAX];
    int fd = -1;
    size_t size = 0;
    imgq_status status = open_shard(t, entry, path, &fd, &size, err);
    if (status != IMGQ_OK)
        return status;
    if (size > total - *at)
        status = iq_fail(err, IMGQ_E_CORRUPT, 0, "shard %s grew while it was read", iq_import_shown(path));
    else
        status = read_bytes(fd, path, block + *at, size, err);
    *at += size;
    close(fd);
    return status;
}

/* All of them into memory of the set's. */
static imgq_status read_shards(tfjs *t, const iq_json *paths, size_t total, const uint8_t **out, imgq_error *err)
{
    size_t at = 0;
    imgq_status status = IMGQ_OK;
    uint8_t *block = iq_weights_alloc(t->set, total);
    if (block == NULL)
        return iq_fail_nomem(err, total);
    for (const iq_json *entry = iq_json_first(paths); status == IMGQ_OK && entry != NULL; entry = iq_json_next(entry))
        status = read_shard(t, entry, block, total, &at, err);
    if (status == IMGQ_OK && at < total)
        status = iq_fail(err, IMGQ_E_CORRUPT, 0, "the shards of %s shrank while they were read", t->shown);
    *out = block;
    return status;
}

/* --- weights --- */

typedef struct tensor {
    char name[IQ_TENSOR_NAME_MAX + 1];
    size_t shape[IQ_TENSOR_RANK_MAX];
    uint32_t rank;
    size_t count, bytes; /* bytes: as stored */
    uint32_t stored;     /* bytes of one stored number: 4, 2 or 1 */
    bool is_half;
    double min, scale; /* of uint8 and uint16 */
} tensor;

static imgq_status read_shape(tfjs *t, const iq_json *entry, tensor *w, imgq_error *err)
{
    const iq_json *shape = iq_json_get(entry, "shape");
    if (!iq_json_is_array(shape) || iq_json_count(shape) > IQ_TENSOR_RANK_MAX)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "tensor %s in %s has no shape", w->name, t->shown);
    w->count = 1;
    for (const iq_json *dim = iq_json_first(shape); dim != NULL; dim = iq_json_next(dim)) {
        uint64_t value = 0;
        if (!iq_json_uint(dim, &value))
            return iq_fail(err, IMGQ_E_CORRUPT, 0, "tensor %s in %s has a dimension that is no whole number", w->name,
                           t->shown);
        w->shape[w->rank++] = (size_t)value;
        if (iq_mul_size(&w->count, w->count, (size_t)value) || w->count > IQ_IMPORT_MAX_BYTES / sizeof(float))
            return iq_fail(err, IMGQ_E_LIMIT, 0, "tensor %s in %s brings the weights over %zu MiB", w->name, t->shown,
                           IQ_IMPORT_MAX_BYTES >> 20);
    }
    return IMGQ_OK;
}

static imgq_status read_kind(tfjs *t, const iq_json *entry, tensor *w, imgq_error *err)
{
    const char *dtype = iq_json_text(iq_json_get(entry, "dtype"));
    const iq_json *quantised = iq_json_get(entry, "quantization");
    if (dtype == NULL || strcmp(dtype, "float32") != 0)
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "tensor %s in %s is of %.32s, only float32 is read here", w->name,
                       t->shown, dtype != NULL ? dtype : "no dtype");
    w->stored = sizeof(float);
    if (quantised == NULL)
        return IMGQ_OK;
    const char *stored = iq_json_text(iq_json_get(quantised, "dtype"));
    w->is_half = stored != NULL && strcmp(stored, "float16") == 0;
    w->stored = w->is_half || (stored != NULL && strcmp(stored, "uint16") == 0) ? 2
                : stored != NULL && strcmp(stored, "uint8") == 0                ? 1
                                                                                : 0;
    if (w->stored == 0)
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "tensor %s in %s is quantised to %.32s", w->name, t->shown,
                       stored != NULL ? stored : "no dtype");
    const iq_json *min = iq_json_get(quantised, "min"), *scale = iq_json_get(quantised, "scale");
    if (!w->is_half && (!iq_json_is_number(min) || !iq_json_is_number(scale)))
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "tensor %s in %s is quantised without min and scale", w->name, t->shown);
    w->min = iq_json_number(min, 0);
    w->scale = iq_json_number(scale, 1);
    return IMGQ_OK;
}

static imgq_status read_tensor(tfjs *t, const iq_json *entry, tensor *w, imgq_error *err)
{
    *w = (tensor){0};
    const char *name = iq_json_text(iq_json_get(entry, "name"));
    if (name == NULL)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "a weight in %s has no name", t->shown);
    imgq_status status = iq_keras_name(NULL, name, w->name, err);
    if (status == IMGQ_OK)
        status = read_shape(t, entry, w, err);
    if (status == IMGQ_OK)
        status = read_kind(t, entry, w, err);
    w->bytes = w->count * w->stored;
    return status;
}

static void widen(float *out, const uint8_t *stored, const tensor *w)
{
    for (size_t i = 0; i < w->count; i++) {
        double number = w->stored == 1 ? stored[i] : iq_load_le16(stored + 2 * i);
        out[i] = (float)(number * w->scale + w->min);
    }
}

static imgq_status add_tensor(tfjs *t, const tensor *w, const uint8_t *stored, imgq_error *err)
{
    if (w->stored == sizeof(float) || w->is_half)
        return iq_weights_add(t->set, w->name, w->is_half ? IQ_DTYPE_F16 : IQ_DTYPE_F32, w->shape, w->rank, stored,
                              w->bytes, err);
    float *wide = iq_weights_alloc(t->set, w->count * sizeof *wide);
    if (wide == NULL)
        return iq_fail_nomem(err, w->count * sizeof *wide);
    widen(wide, stored, w);
    return iq_weights_add(t->set, w->name, IQ_DTYPE_F32, w->shape, w->rank, wide, w->count * sizeof *wide, err);
}

static imgq_status read_group(tfjs *t, const iq_json *group, imgq_error *err)
{
    const iq_json *paths = iq_json_get(group, "paths"), *weights = iq_json_get(group, "weights");
    imgq_status status = IMGQ_OK;
    size_t total = 0, at = 0;
    tensor w;
    if (!iq_json_is_array(paths) || !iq_json_is_array(weights) || iq_json_count(paths) > SHARDS_MAX)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "a group of weights in %s has no paths or weights", t->shown);
    for (const iq_json *entry = iq_json_first(weights); entry != NULL; entry = iq_json_next(entry)) {
        status = read_tensor(t, entry, &w, err);
        if (status != IMGQ_OK)
            return status;
        t->bytes += w.count * sizeof(float); /* each is at most the limit, so this cannot overflow before the check */
        if (t->bytes > IQ_IMPORT_MAX_BYTES)
            return iq_fail(err, IMGQ_E_LIMIT, 0, "tensor %s in %s brings the weights over %zu MiB", w.name, t->shown,
                           IQ_IMPORT_MAX_BYTES >> 20);
        total += w.bytes;
    }
    status = check_shards(t, paths, total, err);
    if (status != IMGQ_OK)
        return status;
    const uint8_t *block = NULL;
    status = map_shards(t, paths, total, &block, err);
    if (status == IMGQ_OK && block == NULL)
        status = read_shards(t, paths, total, &block, err);
    at = 0;
    for (const iq_json *entry = iq_json_first(weights); status == IMGQ_OK && entry != NULL;
         entry = iq_json_next(entry)) {
        status = read_tensor(t, entry, &w, err);
        if (status == IMGQ_OK)
            status = add_tensor(t, &w, block + at, err);
        at += w.bytes;
    }
    return status;
}

static imgq_status read_groups(tfjs *t, imgq_error *err)
{
    const iq_json *manifest = iq_json_get(t->root, "weightsManifest");
    for (const iq_json *group = iq_json_first(manifest); group != NULL; group = iq_json_next(group)) {
        imgq_status status = read_group(t, group, err);
        if (status != IMGQ_OK)
            return status;
    }
    if (t->set->count == 0)
        return iq_fail(err, IMGQ_E_FORMAT, 0, "%s holds no weights", t->shown);
    return IMGQ_OK;
}

static void release(tfjs *t)
{
    iq_json_free(t->root);
    iq_buf_release(t->env, &t->text);
}

imgq_status iq_tfjs_open(imgq_env *env, const char *path, iq_weights **out, imgq_error *err)
{
    tfjs t = {.env = env};
    *out = NULL;
    imgq_status status = iq_weights_create(env, IQ_SOURCE_TFJS, path, &t.set, err);
    if (status == IMGQ_OK)
        status = read_json(&t, path, err);
    if (status == IMGQ_OK)
        status = read_topology(&t, err);
    if (status == IMGQ_OK)
        status = read_groups(&t, err);
    release(&t);
    if (status == IMGQ_OK) {
        *out = t.set;
        return IMGQ_OK;
    }
    iq_weights_destroy(t.set);
    return iq_import_one_line(err, status);
}

static imgq_status hash_shard(tfjs *t, const iq_json *entry, iq_sha256 *hash, imgq_error *err)
{
    char path[PATH_MAX];
    uint8_t block[16384];
    int fd = -1;
    size_t left = 0;
    imgq_status status = open_shard(t, entry, path, &fd, &left, err);
    if (status != IMGQ_OK)
        return status;
    while (status == IMGQ_OK && left > 0) {
        size_t part = left < sizeof block ? left : sizeof block;
        status = read_bytes(fd, path, block, part, err);
        if (status == IMGQ_OK)
            iq_sha256_add(hash, block, part);
        left -= part;
    }
    close(fd);
    return status;
}

imgq_status iq_tfjs_hash(imgq_env *env, const char *path, iq_sha256 *hash, imgq_error *err)
{
    tfjs t = {.env = env};
    imgq_status status = read_json(&t, path, err);
    if (status == IMGQ_OK)
        iq_sha256_add(hash, t.text.data, t.text.len);
    const iq_json *manifest = iq_json_get(t.root, "weightsManifest");
    for (const iq_json *group = iq_json_first(manifest); group != NULL; group = iq_json_next(group))
        for (const iq_json *entry = iq_json_first(iq_json_get(group, "paths")); status == IMGQ_OK && entry != NULL;
             entry = iq_json_next(entry))
            status = hash_shard(&t, entry, hash, err);
    release(&t);
    return status == IMGQ_OK ? status : iq_import_one_line(err, status);
}
