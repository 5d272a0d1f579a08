#include "support/shared.h"

#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *join3(const char *folder, const char *inner, const char *relative)
{
    static char paths[8][1024];
    static unsigned next;
    char *path = paths[next++ % 8];
    if (snprintf(path, sizeof paths[0], "%s/%s%s", folder, inner, relative) >= (int)sizeof paths[0])
        abort();
    return path;
}

static const char *join(const char *folder, const char *relative)
{
    return join3(folder, "", relative);
}

static const char *environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : otherwise;
}

const char *source_path(const char *relative)
{
    return join(environment("IMGQ_SOURCE", "."), relative);
}

const char *bin_path(const char *relative)
{
    return join(environment("IMGQ_BIN", "build/bin"), relative);
}

const char *weights_path(const char *relative)
{
    return join(environment("IMGQ_WEIGHTS", "build/tests/weights"), relative);
}

const char *shared_path(const char *relative)
{
    const char *shared = getenv("IMGQ_SHARED");
    if (shared != NULL && *shared != '\0')
        return join(shared, relative);
    return join3(environment("IMGQ_SOURCE", "."), "../shared/", relative);
}

bool shared_is_there(void)
{
    if (access(shared_path("oracle/keras.json"), R_OK) == 0)
        return true;
    check_skip("no shared folder with weights and oracles (set IMGQ_SHARED)");
    return false;
}
