/* Files in memory, for as long as a set of tensors needs them. Their pages are the kernel's, not the process's: weights
 * that are packed need no copy to be packed again in another order. */
#include "model/weights.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "model/told.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct iq_weights_file {
    struct iq_weights_file *next;
    int file; /* open */
    void *mapping;
    size_t len;
    struct timespec written; /* last, when it was mapped */
};

static imgq_status fail_io(const iq_weights *set, imgq_error *err)
{
    const int sys_errno = errno;
    char why[96];
    return iq_fail(err, IMGQ_E_IO, sys_errno, "read model %s: %s", iq_shown_path(set->path),
                   iq_strerror(sys_errno, why, sizeof why));
}

static void unmap(imgq_env *env, void *user, size_t len)
{
    (void)env;
    munmap(user, len);
}

static void close_file(imgq_env *env, void *user, size_t len)
{
    (void)env;
    (void)len;
    close(((struct iq_weights_file *)user)->file);
}

/* Puts the file on the set's list, which closes it. */
static imgq_status keep(iq_weights *set, int file, const struct stat *st, void *mapping, imgq_error *err)
{
    struct iq_weights_file *entry = iq_arena_alloc(&set->arena, sizeof *entry);
    if (entry == NULL) {
        close(file);
        return iq_fail_nomem(err, sizeof *entry);
    }
    *entry = (struct iq_weights_file){
        .next = set->files, .file = file, .mapping = mapping, .len = (size_t)st->st_size, .written = st->st_mtim};
    imgq_status status = iq_weights_own(set, close_file, entry, sizeof *entry, err);
    if (status == IMGQ_OK)
        set->files = entry;
    return status;
}

imgq_status iq_weights_map(iq_weights *set, int file, void *at, const uint8_t **bytes, size_t *len, imgq_error *err)
{
    struct stat st;
    imgq_status status = IMGQ_OK;
    *bytes = (const uint8_t *)"";
    if (at == NULL)
        *len = 0;
    if (fstat(file, &st) != 0)
        status = fail_io(set, err);
    else if (!S_ISREG(st.st_mode)) /* a folder or a pipe has no size to check offsets against */
        status = iq_fail(err, IMGQ_E_FORMAT, 0, "read model %s: this is %s, not a model file", iq_shown_path(set->path),
                         S_ISDIR(st.st_mode) ? "a folder" : "a device or a pipe");
    else if (at != NULL && (size_t)st.st_size != *len) /* mapped all the same, it would cover its neighbours */
        status = iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: a file of it changed while it was read",
                         iq_shown_path(set->path));
    if (status != IMGQ_OK || st.st_size == 0) {
        close(file);
        return status;
    }
    *len = (size_t)st.st_size;
    void *mapping = mmap(at, *len, PROT_READ, MAP_PRIVATE | (at != NULL ? MAP_FIXED : 0), file, 0);
    if (mapping == MAP_FAILED) {
        status = errno == ENOMEM ? iq_fail_nomem(err, *len) : fail_io(set, err);
        close(file);
        return status;
    }
    /* Advice only: all of it is about to be read once, front to back or nearly so. */
    (void)madvise(mapping, *len, MADV_WILLNEED);
    *bytes = mapping;
    if (at == NULL && iq_weights_own(set, unmap, mapping, *len, err) != IMGQ_OK) {
        close(file);
        return IMGQ_E_NOMEM;
    }
    return keep(set, file, &st, mapping, err);
}

void *iq_weights_reserve(iq_weights *set, size_t bytes)
{
    void *mapping = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED || iq_weights_own(set, unmap, mapping, bytes, NULL) != IMGQ_OK)
        return NULL;
    return mapping;
}

/* A file that became shorter would end the process when it is touched; one that was written to has other weights than
 * those that were checked. */
imgq_status iq_weights_check_files(const iq_weights *set, imgq_error *err)
{
    for (const struct iq_weights_file *f = set->files; f != NULL; f = f->next) {
        struct stat st;
        if (fstat(f->file, &st) != 0)
            return fail_io(set, err);
        if ((size_t)st.st_size != f->len || st.st_mtim.tv_sec != f->written.tv_sec ||
            st.st_mtim.tv_nsec != f->written.tv_nsec)
            return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: it was written to after it was opened",
                           iq_shown_path(set->path));
    }
    return IMGQ_OK;
}

void iq_weights_rest(const iq_weights *set)
{
    for (const struct iq_weights_file *f = set->files; f != NULL; f = f->next)
        (void)madvise(f->mapping, f->len, MADV_DONTNEED);
}
