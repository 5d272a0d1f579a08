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

/* Runs a script of this folder with the new folder as its first argument. */
static bool run_script(const char *script, const char *argument)
{
    char path[1024], second[1024];
    char *const argv[] = {(char[]){"/usr/bin/python3"}, path, folder, argument != NULL ? second : NULL, NULL};
    pid_t pid;
    int status = -1;
    snprintf(path, sizeof path, "%s/%s", source_path("tests/unit/import"), script);
    snprintf(second, sizeof second, "%s", argument != NULL ? argument : "");
    if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) == 0)
        waitpid(pid, &status, 0);
    if (status == 0)
        return true;
    fprintf(stderr, "%s failed: are python3-h5py and python3-numpy installed?\n", path);
    models_remove();
    return false;
}

static bool make_folder(void)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/imgq-models-XXXXXX",
             temporary != NULL && *temporary != '\0' ? temporary : "/tmp");
    if (mkdtemp(folder) != NULL && imgq_env_create(NULL, &env, NULL) == IMGQ_OK)
        return true;
    perror(folder);
    return false;
}

bool models_make(void)
{
    return make_folder() && run_script("make_models.py", NULL);
}

bool models_make_real(void)
{
    char shared[1024];
    snprintf(shared, sizeof shared, "%s", shared_path("."));
    return make_folder() && run_script("make_real.py", shared);
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
