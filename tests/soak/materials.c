#include "soak/materials.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/random.h"
#include "support/shared.h"

enum { FILES_MAX = 512, FILE_MAX = 8 << 20, DAMAGED_OF_TEN = 3 };

struct materials {
    test_random choices;
    size_t count, pictures; /* the first ones are pictures that decode */
    size_t lens[FILES_MAX];
    uint8_t *files[FILES_MAX];
    uint8_t *scratch; /* the largest of them */
};

static size_t below(materials *m, size_t limit)
{
    return (size_t)(random_next(&m->choices) % limit);
}

static void read_one(materials *m, const char *path)
{
    FILE *file = fopen(path, "rbe");
    uint8_t *bytes = malloc(FILE_MAX);
    if (file != NULL && bytes != NULL && m->count < FILES_MAX) {
        const size_t len = fread(bytes, 1, FILE_MAX, file);
        if (len > 0 && len < FILE_MAX) {
            m->files[m->count] = realloc(bytes, len);
            m->lens[m->count++] = len;
            bytes = NULL;
        }
    }
    free(bytes);
    if (file != NULL)
        fclose(file);
}

/* In the order of their names, so that a seed means the same everywhere. @param ending NULL: any */
static void read_folder(materials *m, const char *folder, const char *ending)
{
    struct dirent **list = NULL;
    const int count = scandir(folder, &list, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        const char *name = list[i]->d_name, *dot = strrchr(name, '.');
        char path[1024];
        if (name[0] != '.' && (ending == NULL || (dot != NULL && strcmp(dot, ending) == 0))) {
            snprintf(path, sizeof path, "%s/%s", folder, name);
            read_one(m, path);
        }
        free(list[i]);
    }
    free(list);
}

materials *materials_read(uint64_t seed, bool photos)
{
    materials *m = calloc(1, sizeof *m);
    m->choices = random_from(seed);
    read_folder(m, source_path("tests/golden"), ".jpg");
    read_folder(m, source_path("tests/golden"), ".png");
    if (photos) {
        read_folder(m, shared_path("images"), ".jpg");
        read_folder(m, shared_path("images"), ".png");
    }
    m->pictures = m->count;
    read_folder(m, source_path("tests/fuzz/corpus/fuzz_jpeg"), NULL);
    read_folder(m, source_path("tests/fuzz/corpus/fuzz_png"), NULL);
    read_folder(m, shared_path("oracle/bad"), NULL);
    m->scratch = malloc(FILE_MAX);
    if (m->pictures == 0 || m->scratch == NULL) {
        fprintf(stderr, "no pictures in %s\n", source_path("tests/golden"));
        exit(1);
    }
    return m;
}

static const uint8_t *damage(materials *m, const uint8_t *bytes, size_t *len)
{
    memcpy(m->scratch, bytes, *len);
    if (below(m, 2) == 0)
        *len = 1 + below(m, *len);
    for (size_t changes = below(m, 20); changes > 0; changes--)
        m->scratch[below(m, *len)] = (uint8_t)random_next(&m->choices);
    return m->scratch;
}

const uint8_t *materials_next(materials *m, bool only_good, size_t *len)
{
    const size_t i = below(m, only_good ? m->pictures : m->count);
    *len = m->lens[i];
    return only_good || below(m, 10) >= DAMAGED_OF_TEN ? m->files[i] : damage(m, m->files[i], len);
}

size_t materials_count(const materials *m)
{
    return m->count;
}

void materials_free(materials *m)
{
    for (size_t i = 0; i < m->count; i++)
        free(m->files[i]);
    free(m->scratch);
    free(m);
}
