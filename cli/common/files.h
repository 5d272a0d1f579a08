/* Which files a command line means, and their bytes. */
#ifndef CLI_COMMON_FILES_H
#define CLI_COMMON_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <imgq/status.h>

/** Names in the order in which they were said; those of a folder sorted. */
typedef struct cli_files {
    char **paths; /* owned; "-" is stdin */
    size_t count, room;
    bool are_several; /* answers must say their file: more than one, or a folder or list that happened to hold one */
} cli_files;

/**
 * Files named as arguments, those inside named folders, those listed in a file. What cannot be read is among them:
 * reading it says why.
 * @param recursive    go into folders: all regular files but hidden ones, links to files followed, to folders not
 * @param files0_from  NULL, or a file ("-": stdin) of names that end with a zero byte each
 * @return CLI_EXIT_OK, else the exit code; what is wrong has been said
 */
int cli_files_collect(const char *program, char *const *arguments, size_t count, bool recursive,
                      const char *files0_from, cli_files *out);
void cli_files_release(cli_files *files);

/** A file's bytes. */
typedef struct cli_bytes {
    uint8_t *data; /* owned, free(); NULL if empty */
    size_t len;
} cli_bytes;

/**
 * Read a whole file; "-" is stdin. Messages do not name the file: "cannot be read: No such file or directory".
 * @return IMGQ_OK; IMGQ_E_NOTFOUND; IMGQ_E_IO; IMGQ_E_LIMIT (over max_bytes); IMGQ_E_FORMAT (empty, or a folder);
 *         IMGQ_E_CANCELLED (a signal came while it waited); IMGQ_E_NOMEM
 */
imgq_status cli_file_read(const char *path, size_t max_bytes, cli_bytes *out, imgq_error *err);
/** Lines of stdin or of arguments: ids. Blank lines are passed over. @param out owned, as paths @return CLI_EXIT_... */
int cli_ids_collect(const char *program, const char *const *first, size_t first_count, char *const *rest,
                    size_t rest_count, cli_files *out);

/** "-" as people read it: "standard input". @return path, or that */
const char *cli_file_shown(const char *path);

/** Fill in an error record. @return status */
imgq_status cli_fail(imgq_error *err, imgq_status status, int sys_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
