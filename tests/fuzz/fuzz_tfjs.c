/* A TensorFlow.js model.json of any bytes. Its shards are looked for in the folder of descriptors, so that they can be
 * the file itself (a number) or nothing. */
#include "import/tfjs.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static imgq_env *env;
    if (env == NULL && imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        abort();
    char path[64];
    iq_weights *set = NULL;
    imgq_error err = {0};
    int fd = memfd_create("model.json", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    imgq_status status = iq_tfjs_open(env, path, &set, &err);
    /* A message is one line, and there is one for every failure. */
    for (const char *c = err.message; *c != '\0'; c++)
        if ((unsigned char)*c < ' ')
            abort();
    if ((status == IMGQ_OK) != (set != NULL) || (status != IMGQ_OK && err.message[0] == '\0'))
        abort();
    iq_weights_destroy(set);
    close(fd);
    return 0;
}
