/* Stands in for libFuzzer: runs the target once on every file of the folders and files named. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static size_t replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    if (S_ISDIR(st.st_mode)) {
        size_t count = 0;
        DIR *folder = opendir(path);
        for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
            char inner[4096];
            if (entry->d_name[0] == '.')
                continue;
            snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
            count += replay(inner);
        }
        if (folder != NULL)
            closedir(folder);
        return count;
    }
    FILE *file = fopen(path, "rb");
    /* An exact allocation, so that a sanitizer sees one byte read past the end. */
    uint8_t *bytes = malloc(st.st_size > 0 ? (size_t)st.st_size : 1);
    size_t len = file != NULL && bytes != NULL ? fread(bytes, 1, (size_t)st.st_size, file) : 0;
    if (file != NULL)
        fclose(file);
    (void)LLVMFuzzerTestOneInput(bytes, len);
    free(bytes);
    return 1;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++)
        count += replay(argv[i]);
    printf("%zu inputs replayed\n", count);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
