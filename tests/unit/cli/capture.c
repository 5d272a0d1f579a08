#include "unit/cli/capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    FILE *file;
    int saved;
    char text[65536];
} captures[2];

void capture_begin(int fd)
{
    fflush(stdout);
    fflush(stderr);
    captures[fd - 1].file = tmpfile();
    if (captures[fd - 1].file == NULL)
        abort();
    captures[fd - 1].saved = dup(fd);
    dup2(fileno(captures[fd - 1].file), fd);
}

const char *capture_end(int fd)
{
    fflush(stdout);
    fflush(stderr);
    dup2(captures[fd - 1].saved, fd);
    close(captures[fd - 1].saved);
    rewind(captures[fd - 1].file);
    const size_t len = fread(captures[fd - 1].text, 1, sizeof captures[0].text - 1, captures[fd - 1].file);
    captures[fd - 1].text[len] = '\0';
    fclose(captures[fd - 1].file);
    return captures[fd - 1].text;
}
