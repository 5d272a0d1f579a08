/* Where Redis is and which password it wants, without a password in anybody's `ps`. */
#include "cli/common/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/common/exit.h"
#include "cli/common/ui.h"

enum { PASSWORD_MAX = 512 };

/* "user:pass@" of scheme://user:pass@host: first and last byte of the password. */
static bool find_password(const char *url, size_t *begin, size_t *end)
{
    const char *scheme = strstr(url, "://");
    if (scheme == NULL || strncmp(url, "unix:", 5) == 0)
        return false;
    const char *authority = scheme + 3;
    const size_t len = strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', len);
    const char *colon = at != NULL ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
    if (colon == NULL || colon + 1 == at)
        return false;
    *begin = (size_t)(colon + 1 - url);
    *end = (size_t)(at - url);
    return true;
}

const char *cli_connect_shown(const char *url, char *out, size_t out_size)
{
    size_t begin, end;
    if (find_password(url, &begin, &end))
        snprintf(out, out_size, "%.*s***%s", (int)begin, url, url + end);
    else
        snprintf(out, out_size, "%s", url);
    return out;
}

/* @param trusted_folder the service manager guards it, so the mode may be what it likes @return CLI_EXIT_... */
static int read_password(const char *program, const char *path, bool trusted_folder, char **password)
{
    char text[PASSWORD_MAX + 2];
    struct stat st;
    int code = CLI_EXIT_CONFIG;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0) {
        cli_error(program, "read the password file %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return code;
    }
    ssize_t len = 0;
    if (!trusted_folder && S_ISREG(st.st_mode) && (st.st_mode & 0027) != 0) {
        cli_error(program, "password file %s has mode %04o, so others can read or change it: chmod 600 %s", path,
                  (unsigned)(st.st_mode & 07777), path);
        goto out;
    }
    len = read(fd, text, sizeof text - 1);
    if (len < 0) {
        cli_error(program, "read the password file %s: %s", path, strerror(errno));
        goto out;
    }
    text[len] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (text[0] == '\0' || strlen(text) > PASSWORD_MAX) {
        cli_error(program, "password file %s: its first line is %s", path, text[0] == '\0' ? "empty" : "too long");
        goto out;
    }
    *password = strdup(text);
    code = *password != NULL ? CLI_EXIT_OK : CLI_EXIT_SOME;
out:
    explicit_bzero(text, sizeof text);
    close(fd);
    return code;
}

int cli_connect_prepare(const cli_args *args, cli_connect *connect, imgq_queue_options *options)
{
    const char *program = args->program->name;
    const char *said = getenv("IMGQ_REDIS_PASSWORD"), *credentials = getenv("CREDENTIALS_DIRECTORY");
    size_t begin, end;
    int code = CLI_EXIT_OK;
    if (cli_args_origin(args, "redis") == CLI_FROM_ARGUMENT && find_password(connect->redis, &begin, &end))
        return cli_args_wrong(args->program, "--redis holds a password, which every user of this machine can see in "
                                             "the process list: use --password-file or IMGQ_REDIS_PASSWORD");
    if (connect->password_file != NULL) {
        code = read_password(program, connect->password_file, false, &connect->password);
    } else if (said != NULL && *said != '\0') {
        connect->password = strdup(said);
        code = connect->password != NULL ? CLI_EXIT_OK : CLI_EXIT_SOME;
    } else if (credentials != NULL && *credentials != '\0') {
        char path[4096];
        snprintf(path, sizeof path, "%s/redis-password", credentials);
        if (access(path, F_OK) == 0)
            code = read_password(program, path, true, &connect->password);
    }
    options->name = connect->queue;
    options->password = connect->password;
    options->client_name = program;
    return code;
}

int cli_connect_failed(const cli_args *args, const imgq_error *err)
{
    const char *advice = "";
    if (err->status == IMGQ_E_UNAVAILABLE)
        advice = " (is Redis running there? --redis or IMGQ_REDIS_URL says where it is)";
    else if (err->status == IMGQ_E_DENIED && (strstr(err->message, "NOAUTH") || strstr(err->message, "WRONGPASS")))
        advice = " (--password-file or IMGQ_REDIS_PASSWORD gives the password)";
    cli_error(args->program->name, "%s%s", err->message, advice);
    return imgq_status_exit_code(err->status);
}

void cli_connect_release(cli_connect *connect)
{
    if (connect->password != NULL)
        explicit_bzero(connect->password, strlen(connect->password));
    free(connect->password);
    connect->password = NULL;
}
