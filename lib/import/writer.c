/* safetensors: the header's length in 8 bytes, a JSON header, then the tensors' bytes without gaps. */
#include "import/writer.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/crypto.h"
#include "base/fail.h"
#include "base/json.h"
#include "import/import.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DATA_ALIGNMENT = 64, LENGTH_SIZE = 8 };

static const char *dtype_name(uint32_t dtype)
{
    return dtype == IQ_DTYPE_F32 ? "F32" : dtype == IQ_DTYPE_F16 ? "F16" : dtype == IQ_DTYPE_BF16 ? "BF16" : NULL;
}

/* --- header --- */

/* ,"key":"value" */
static void add_text(imgq_env *env, iq_buf *head, const char *key, const char *value)
{
    if (value == NULL)
        return;
    (void)iq_buf_append_text(env, head, head->data[head->len - 1] == '{' ? "" : ",");
    (void)iq_json_write_text(env, head, key);
    (void)iq_buf_append_text(env, head, ":");
    (void)iq_json_write_text(env, head, value);
}

static void add_built(imgq_env *env, iq_buf *head, const char *key, iq_buf *value)
{
    if (value->failed)
        head->failed = true;
    else if (!head->failed)
        add_text(env, head, key, (const char *)value->data);
    iq_buf_release(env, value);
}

static void write_labels(imgq_env *env, iq_buf *out, const imgq_model *model)
{
    uint32_t count = imgq_model_class_count(model);
    (void)iq_buf_append_text(env, out, "[");
    for (uint32_t i = 0; i < count; i++) {
        (void)iq_buf_append_text(env, out, i > 0 ? "," : "");
        (void)iq_json_write_text(env, out, imgq_model_label(model, i));
    }
    (void)iq_buf_append_text(env, out, "]");
}

/* "/models/ResNet50/" -> "ResNet50": where it lay is nobody's business. */
static void last_part(const char *path, char *out, size_t out_size)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    snprintf(out, out_size, "%.*s", (int)(end - start), path + start);
}

static void add_metadata(imgq_env *env, iq_buf *head, const iq_weights *set, const imgq_model *model,
                         const iq_write_options *options)
{
    iq_buf eps = {0}, recipe = {0}, labels = {0};
    char source[256];
    last_part(set->path, source, sizeof source);
    (void)iq_json_write_float(env, &eps, iq_model_bn_eps(model));
    (void)iq_recipe_write(env, &recipe, imgq_model_recipe(model));
    write_labels(env, &labels, model);
    (void)iq_buf_append_text(env, head, "\"__metadata__\":{");
    if (!head->failed) {
        add_text(env, head, "imgq.name", imgq_model_name(model));
        add_text(env, head, "imgq.layout", imgq_model_layout(model) == IMGQ_LAYOUT_V1 ? "v1" : "v1.5");
        add_text(env, head, "imgq.profile", imgq_model_recipe(model)->profile);
        add_text(env, head, "imgq.source", source);
        add_text(env, head, "imgq.source_sha256", options->source_sha256);
        add_text(env, head, "imgq.note", options->note);
    }
    add_built(env, head, "imgq.bn_eps", &eps);
    add_built(env, head, "imgq.recipe", &recipe);
    add_built(env, head, "imgq.labels", &labels);
    (void)iq_buf_append_text(env, head, "}");
}

static void add_tensor(imgq_env *env, iq_buf *head, const iq_tensor_view *tensor, size_t at)
{
    (void)iq_buf_append_text(env, head, ",");
    (void)iq_json_write_text(env, head, tensor->name);
    (void)iq_buf_append_format(env, head, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(tensor->dtype));
    for (uint32_t i = 0; i < tensor->rank; i++)
        (void)iq_buf_append_format(env, head, "%s%zu", i > 0 ? "," : "", tensor->shape[i]);
    (void)iq_buf_append_format(env, head, "],\"data_offsets\":[%zu,%zu]}", at, at + tensor->bytes);
}

/* Padded with blanks, so that the tensors begin on a cache line of the mapping. */
static imgq_status make_header(imgq_env *env, iq_buf *head, const iq_weights *set, const imgq_model *model,
                               const iq_write_options *options, imgq_error *err)
{
    size_t at = 0;
    (void)iq_buf_append_text(env, head, "{");
    add_metadata(env, head, set, model, options);
    for (size_t i = 0; i < set->count; i++)
        if (dtype_name(set->tensors[i].dtype) != NULL) {
            add_tensor(env, head, &set->tensors[i], at);
            at += set->tensors[i].bytes;
        }
    (void)iq_buf_append_text(env, head, "}");
    while (!head->failed && (LENGTH_SIZE + head->len) % DATA_ALIGNMENT != 0)
        (void)iq_buf_append_text(env, head, " ");
    return head->failed ? iq_fail_nomem(err, head->len) : IMGQ_OK;
}

/* --- file --- */

static imgq_status fail_errno(imgq_error *err, const char *attempt, const char *path)
{
    char why[128];
    int sys_errno = errno;
    return iq_fail(err, IMGQ_E_IO, sys_errno, "%s %s: %s", attempt, iq_import_shown(path),
                   iq_strerror(sys_errno, why, sizeof why));
}

static imgq_status write_bytes(int fd, const void *bytes, size_t len, const char *path, imgq_error *err)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno != EINTR)
            return fail_errno(err, "write", path);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
    return IMGQ_OK;
}

static imgq_status write_all(int fd, const iq_buf *head, const iq_weights *set, const char *path, imgq_error *err)
{
    uint8_t length[LENGTH_SIZE];
    for (size_t i = 0; i < LENGTH_SIZE; i++)
        length[i] = (uint8_t)((uint64_t)head->len >> (8 * i));
    imgq_status status = write_bytes(fd, length, sizeof length, path, err);
    if (status == IMGQ_OK)
        status = write_bytes(fd, head->data, head->len, path, err);
    for (size_t i = 0; status == IMGQ_OK && i < set->count; i++)
        if (dtype_name(set->tensors[i].dtype) != NULL)
            status = write_bytes(fd, set->tensors[i].data, set->tensors[i].bytes, path, err);
    if (status == IMGQ_OK && fsync(fd) != 0)
        status = fail_errno(err, "write", path);
    return status;
}

/* Bytes of a file that is written to meanwhile are neither the old weights nor the new. */
static imgq_status write_checked(int fd, const iq_buf *head, const iq_weights *set, const char *path, imgq_error *err)
{
    imgq_status status = iq_weights_check_files(set, err);
    if (status == IMGQ_OK)
        status = write_all(fd, head, set, path, err);
    return status == IMGQ_OK ? iq_weights_check_files(set, err) : status;
}

/* One step, so that nobody's file is lost between a look and the renaming. */
static imgq_status publish(const char *temporary, const char *path, bool replace, imgq_error *err)
{
    int rc = replace ? rename(temporary, path) : renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE);
    if (rc != 0 && !replace &&
        (errno == EINVAL || errno == ENOSYS)) { /* a file system without that: look, then rename */
        errno = EEXIST;
        rc = access(path, F_OK) == 0 ? -1 : rename(temporary, path);
    }
    if (rc != 0 && errno == EEXIST)
        return iq_fail(err, IMGQ_E_CONFLICT, EEXIST, "write %s: it is there already; --force replaces it",
                       iq_import_shown(path));
    return rc != 0 ? fail_errno(err, "write", path) : IMGQ_OK;
}

imgq_status iq_import_write(imgq_env *env, const iq_weights *set, const imgq_model *model, const char *path,
                            const iq_write_options *options, imgq_error *err)
{
    static const iq_write_options defaults = {0};
    char temporary[PATH_MAX], suffix[17];
    uint8_t noise[8];
    iq_buf head = {0};
    if (options == NULL)
        options = &defaults;
    iq_random(noise, sizeof noise);
    iq_hex(suffix, noise, sizeof noise);
    int len = snprintf(temporary, sizeof temporary, "%s.%s", path, suffix);
    if (len < 0 || (size_t)len >= sizeof temporary)
        return iq_fail(err, IMGQ_E_INVALID, 0, "the path %.64s... is too long", path);
    imgq_status status = make_header(env, &head, set, model, options, err);
    int fd = status == IMGQ_OK ? open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    if (status == IMGQ_OK && fd < 0)
        status = fail_errno(err, "write", path);
    if (fd >= 0) {
        status = write_checked(fd, &head, set, path, err);
        if (close(fd) != 0 && status == IMGQ_OK)
            status = fail_errno(err, "write", path);
        if (status == IMGQ_OK)
            status = publish(temporary, path, options->replace, err);
        if (status != IMGQ_OK)
            (void)unlink(temporary); /* after a failure there is nothing more to say */
    }
    iq_buf_release(env, &head);
    return status;
}
