/* Arguments, folders and lists to names; names to bytes. */
#include "cli/common/files.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/common/exit.h"
#include "cli/common/signals.h"
#include "cli/common/ui.h"

enum { LIST_MAX_BYTES = 1 << 30 }; /* of --files0-from and of ids: some ten million names */

imgq_status cli_fail(imgq_error *err, imgq_status status, int sys_errno, const char *format, ...)
{
    va_list list;
    *err = (imgq_error){.status = status, .sys_errno = sys_errno};
    va_start(list, format);
    vsnprintf(err->message, sizeof err->message, format, list);
    va_end(list);
    return status;
}

/* ---- names ---- */

/* @param path given: freed here if it cannot be kept */
static int add(const char *program, cli_files *files, char *path)
{
    if (path != NULL && files->count == files->room) {
        const size_t room = files->room > 0 ? files->room * 2 : 16;
        char **more = realloc(files->paths, room * sizeof *more);
        if (more == NULL) {
            free(path);
            path = NULL;
        } else {
            files->paths = more;
            files->room = room;
        }
    }
    if (path == NULL) {
        cli_error(program, "memory ran out after %zu names", files->count);
        return CLI_EXIT_SOME;
    }
    files->paths[files->count++] = path;
    return CLI_EXIT_OK;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool links_to_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int add_folder(const char *program, cli_files *files, const char *folder)
{
    char *copy = strdup(folder), *roots[] = {copy, NULL};
    FTS *walk = copy != NULL ? fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name) : NULL;
    int code = CLI_EXIT_OK;
    if (walk == NULL) {
        cli_error(program, "walk through %s: %s", folder, strerror(errno));
        free(copy);
        return CLI_EXIT_SOME;
    }
    for (FTSENT *entry; code == CLI_EXIT_OK && (entry = fts_read(walk)) != NULL;) {
        if (entry->fts_level > 0 && entry->fts_name[0] == '.') {
            if (entry->fts_info == FTS_D)
                fts_set(walk, entry, FTS_SKIP);
            continue;
        }
        const int info = entry->fts_info;
        const bool is_file = info == FTS_F || (info == FTS_SL && links_to_file(entry->fts_path));
        /* What cannot be looked into becomes a name too, so that reading it says why. */
        if (is_file || info == FTS_DNR || info == FTS_NS || info == FTS_ERR)
            code = add(program, files, strdup(entry->fts_path));
    }
    fts_close(walk);
    free(copy);
    return code;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int add_list(const char *program, cli_files *files, const char *path)
{
    cli_bytes list = {0};
    imgq_error err;
    int code = CLI_EXIT_OK;
    const imgq_status status = cli_file_read(path, LIST_MAX_BYTES, &list, &err);
    if (status == IMGQ_E_FORMAT && !is_folder(path))
        return CLI_EXIT_OK; /* an empty list */
    if (status != IMGQ_OK) {
        cli_error(program, "--files0-from %s: %s", path, err.message);
        return CLI_EXIT_USAGE;
    }
    for (size_t at = 0; at < list.len && code == CLI_EXIT_OK;) {
        const size_t len = strnlen((const char *)list.data + at, list.len - at);
        if (len == 0) {
            cli_error(program, "--files0-from %s: name %zu is empty", path, files->count + 1);
            code = CLI_EXIT_USAGE;
        } else {
            code = add(program, files, strndup((const char *)list.data + at, len));
        }
        at += len + 1;
    }
    free(list.data);
    return code;
}

int cli_files_collect(const char *program, char *const *arguments, size_t count, bool recursive,
                      const char *files0_from, cli_files *out)
{
    int code = CLI_EXIT_OK;
    *out = (cli_files){.are_several = count > 1 || files0_from != NULL};
    for (size_t i = 0; i < count && code == CLI_EXIT_OK; i++) {
        if (recursive && is_folder(arguments[i])) {
            out->are_several = true;
            code = add_folder(program, out, arguments[i]);
        } else {
            code = add(program, out, strdup(arguments[i]));
        }
    }
    if (code == CLI_EXIT_OK && files0_from != NULL)
        code = add_list(program, out, files0_from);
    if (code != CLI_EXIT_OK)
        cli_files_release(out);
    return code;
}

void cli_files_release(cli_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->paths[i]);
    free(files->paths);
    *files = (cli_files){0};
}

static int add_id_lines(const char *program, cli_files *out)
{
    cli_bytes text = {0};
    imgq_error err;
    int code = CLI_EXIT_OK;
    const imgq_status status = cli_file_read("-", LIST_MAX_BYTES, &text, &err);
    if (status == IMGQ_E_FORMAT)
        return CLI_EXIT_OK;
    if (status != IMGQ_OK) {
        cli_error(program, "standard input: %s", err.message);
        return CLI_EXIT_SOME;
    }
    for (size_t at = 0; at < text.len && code == CLI_EXIT_OK;) {
        const char *line = (const char *)text.data + at;
        const char *end = memchr(line, '\n', text.len - at);
        size_t len = end != NULL ? (size_t)(end - line) : text.len - at;
        at += len + 1;
        while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' ' || line[len - 1] == '\t'))
            len--;
        if (len > 0)
            code = add(program, out, strndup(line, len));
    }
    free(text.data);
    return code;
}

int cli_ids_collect(const char *program, const char *const *first, size_t first_count, char *const *rest,
                    size_t rest_count, cli_files *out)
{
    int code = CLI_EXIT_OK;
    *out = (cli_files){0};
    for (size_t i = 0; i < first_count + rest_count && code == CLI_EXIT_OK; i++) {
        const char *word = i < first_count ? first[i] : rest[i - first_count];
        code = strcmp(word, "-") == 0 ? add_id_lines(program, out) : add(program, out, strdup(word));
    }
    if (code != CLI_EXIT_OK)
        cli_files_release(out);
    else
        out->are_several = out->count > 1;
    return code;
}

/* ---- bytes ---- */

const char *cli_file_shown(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static imgq_status read_open(int fd, size_t max_bytes, size_t expected, cli_bytes *out, imgq_error *err)
{
    size_t room = 0;
    size_t wanted = expected < max_bytes ? expected + 1 : max_bytes + 1; /* one more: to see the end or the excess */
    for (;;) {
        if (room < wanted) {
            uint8_t *more = realloc(out->data, wanted);
            if (more == NULL)
                return cli_fail(err, IMGQ_E_NOMEM, 0, "cannot be read: memory ran out at %zu bytes", out->len);
            out->data = more;
            room = wanted;
        }
        const ssize_t got = read(fd, out->data + out->len, room - out->len);
        if (got < 0 && errno == EINTR && cli_signals_caught() == 0)
            continue;
        if (got < 0 && errno == EINTR)
            return cli_fail(err, IMGQ_E_CANCELLED, 0, "interrupted while it was read");
        if (got < 0)
            return cli_fail(err, IMGQ_E_IO, errno, "cannot be read: %s", strerror(errno));
        out->len += (size_t)got;
        if (got == 0)
            return IMGQ_OK;
        if (out->len > max_bytes)
            return cli_fail(err, IMGQ_E_LIMIT, 0, "larger than %zu bytes, the limit", max_bytes);
        if (out->len == room)
            wanted = room < max_bytes / 2 ? room * 2 : max_bytes + 1;
    }
}

imgq_status cli_file_read(const char *path, size_t max_bytes, cli_bytes *out, imgq_error *err)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    struct stat st;
    imgq_status status;
    *out = (cli_bytes){0};
    const int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return cli_fail(err, errno == ENOENT || errno == ENOTDIR ? IMGQ_E_NOTFOUND : IMGQ_E_IO, errno,
                        "cannot be read: %s", strerror(errno));
    if (fstat(fd, &st) != 0)
        status = cli_fail(err, IMGQ_E_IO, errno, "cannot be read: %s", strerror(errno));
    else if (S_ISDIR(st.st_mode))
        status = cli_fail(err, IMGQ_E_FORMAT, EISDIR, "a folder: --recursive takes the files in it");
    else if (S_ISREG(st.st_mode) && (uintmax_t)st.st_size > max_bytes)
        status = cli_fail(err, IMGQ_E_LIMIT, 0, "larger than %zu bytes, the limit", max_bytes);
    else
        status = read_open(fd, max_bytes, S_ISREG(st.st_mode) ? (size_t)st.st_size : 65535, out, err);
    if (status == IMGQ_OK && out->len == 0)
        status = cli_fail(err, IMGQ_E_FORMAT, 0, "empty");
    if (status != IMGQ_OK) {
        free(out->data);
        *out = (cli_bytes){0};
    }
    if (!is_stdin)
        close(fd);
    return status;
}
