#include "models.h"

#include "support/shared.h"

#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char folder[512];
static imgq_env *env;

bool models_make(void)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/imgq-models-XXXXXX",
             temporary != NULL && *temporary != '\0' ? temporary : "/tmp");
    if (mkdtemp(folder) == NULL || imgq_env_create(NULL, &env, NULL) != IMGQ_OK) {
        perror(folder);
        return false;
    }
    char *const argv[] = {(char[]){"/usr/bin/python3"}, strdup(source_path("tests/unit/import/make_models.py")), folder,
                          NULL};
    pid_t pid;
    int status = -1;
    int rc = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);
    if (rc == 0)
        waitpid(pid, &status, 0);
    free(argv[1]);
    if (rc == 0 && status == 0)
        return true;
    fprintf(stderr, "make_models.py failed: are python3-h5py and python3-numpy installed?\n");
    models_remove();
    return false;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

void models_remove(void)
{
    imgq_env_destroy(env);
    env = NULL;
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* a temporary folder left behind fails no test */
}

const char *models_folder(void)
{
    return folder;
}

const char *models_path(const char *name)
{
    static char paths[8][1024];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *models_text(const char *name)
{
    static char text[1024];
    char path[1024];
    snprintf(path, sizeof path, "%s/expected/%s", folder, name);
    FILE *file = fopen(path, "r");
    size_t len = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file != NULL)
        fclose(file);
    text[len] = '\0';
    return text;
}

imgq_env *models_env(void)
{
    return env;
}
