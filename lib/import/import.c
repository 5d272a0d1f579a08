/* Which reader a path is for: folders by what lies in them, files by their first bytes. */
#include "import/import.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fail.h"
#include "import/keras_h5.h"
#include "import/tfjs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD = 4096, SHOWN_MAX = 100 };

const char *iq_import_shown(const char *path)
{
    size_t len = strlen(path);
    return len > SHOWN_MAX ? path + len - SHOWN_MAX : path;
}

imgq_status iq_import_one_line(imgq_error *err, imgq_status status)
{
    for (char *c = err != NULL ? err->message : NULL; c != NULL && *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return status;
}

static imgq_status fail_errno(imgq_error *err, const char *attempt, const char *path)
{
    char why[128];
    int sys_errno = errno;
    return iq_fail(err, sys_errno == ENOENT || sys_errno == ENOTDIR ? IMGQ_E_NOTFOUND : IMGQ_E_IO, sys_errno,
                   "%s %s: %s", attempt, path, iq_strerror(sys_errno, why, sizeof why));
}

static imgq_status read_head(const char *path, uint8_t *head, size_t *len, imgq_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "open", path);
    ssize_t n = pread(fd, head, HEAD, 0);
    imgq_status status = n < 0 ? fail_errno(err, "read", path) : IMGQ_OK;
    close(fd);
    *len = n < 0 ? 0 : (size_t)n;
    return status;
}

/* HDF5's signature stands at 0, or behind a user's block of 512, 1024, 2048, ... bytes. */
static bool is_hdf5(const uint8_t *head, size_t len)
{
    static const uint8_t signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    for (size_t at = 0; at + sizeof signature <= len; at = at == 0 ? 512 : 2 * at)
        if (memcmp(head + at, signature, sizeof signature) == 0)
            return true;
    return false;
}

/* The header's length, then its opening bracket. */
static bool is_safetensors(const uint8_t *head, size_t len)
{
    return len > 8 && head[8] == '{' && iq_load_le64(head) <= (uint64_t)100 << 20;
}

static bool is_json(const uint8_t *head, size_t len)
{
    size_t at = 0;
    while (at < len && (head[at] == ' ' || head[at] == '\t' || head[at] == '\r' || head[at] == '\n'))
        at++;
    return at < len && head[at] == '{';
}

static imgq_status open_folder(imgq_env *env, const char *path, iq_weights **out, imgq_error *err)
{
    char inner[PATH_MAX];
    int len = snprintf(inner, sizeof inner, "%s/model.json", path);
    if (len > 0 && (size_t)len < sizeof inner && access(inner, F_OK) == 0)
        return iq_tfjs_open(env, path, out, err);
    len = snprintf(inner, sizeof inner, "%s/model.safetensors", path);
    if (len > 0 && (size_t)len < sizeof inner && access(inner, F_OK) == 0)
        return iq_weights_open_safetensors(env, inner, out, err);
    return iq_fail(err, IMGQ_E_FORMAT, 0, "the folder %s holds no model: neither model.json nor model.safetensors",
                   iq_import_shown(path));
}

static imgq_status open_hdf5(imgq_env *env, const char *path, iq_weights **out, imgq_error *err)
{
#ifdef IQ_HAVE_HDF5
    return iq_keras_h5_open(env, path, out, err);
#else
    (void)env, (void)out;
    return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "%s is an HDF5 file, which this build does not read (IMGQ_IMPORT)",
                   iq_import_shown(path));
#endif
}

imgq_status iq_import_open(imgq_env *env, const char *path, iq_weights **out, imgq_error *err)
{
    struct stat st;
    uint8_t head[HEAD];
    size_t len = 0;
    *out = NULL;
    if (stat(path, &st) != 0)
        return fail_errno(err, "open", path);
    if (S_ISDIR(st.st_mode))
        return open_folder(env, path, out, err);
    imgq_status status = read_head(path, head, &len, err);
    if (status != IMGQ_OK)
        return status;
    if (is_hdf5(head, len))
        return open_hdf5(env, path, out, err);
    if (is_safetensors(head, len))
        return iq_weights_open_safetensors(env, path, out, err);
    if (is_json(head, len))
        return iq_tfjs_open(env, path, out, err);
    return iq_weights_refuse(path, head, len < 512 ? len : 512, "a safetensors, Keras HDF5 or TensorFlow.js model",
                             err);
}

static imgq_status hash_file(const char *path, iq_sha256 *hash, imgq_error *err)
{
    uint8_t block[16384];
    ssize_t n;
    imgq_status status = IMGQ_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "open", path);
    while ((n = read(fd, block, sizeof block)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            status = fail_errno(err, "read", path);
            break;
        }
        iq_sha256_add(hash, block, (size_t)n);
    }
    close(fd);
    return status;
}

imgq_status iq_import_source_hash(imgq_env *env, const iq_weights *set, char out[65], imgq_error *err)
{
    uint8_t digest[32];
    iq_sha256 *hash = iq_sha256_begin();
    if (hash == NULL)
        return iq_fail_nomem(err, 0);
    imgq_status status =
        set->source == IQ_SOURCE_TFJS ? iq_tfjs_hash(env, set->path, hash, err) : hash_file(set->path, hash, err);
    iq_sha256_end(hash, digest);
    iq_hex(out, digest, sizeof digest);
    return status;
}
