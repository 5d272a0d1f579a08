/* The header is built in memory: it is small, and its length stands before it. */
#include "cli/model/demo_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/files.h"

static void add_tensor(FILE *head, const char *name, const size_t *shape, size_t rank, size_t count, size_t *at)
{
    fprintf(head, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", name);
    for (size_t i = 0; i < rank; i++)
        fprintf(head, "%s%zu", i > 0 ? "," : "", shape[i]);
    fprintf(head, "],\"data_offsets\":[%zu,%zu]}", *at, *at + count * sizeof(float));
    *at += count * sizeof(float);
}

/* @param text, len out, owned, free() */
static bool make_header(const char *name, const char *note, const demo_backbone *backbone, const demo_head *head,
                        char **text, size_t *len)
{
    size_t at = 0;
    FILE *out = open_memstream(text, len);
    if (out == NULL)
        return false;
    fprintf(out,
            "{\"__metadata__\":{\"imgq.name\":\"%s\",\"imgq.note\":\"%s\",\"imgq.layout\":\"v1\","
            "\"imgq.bn_eps\":\"1.001e-05\",\"imgq.profile\":\"keras\",\"imgq.labels\":\"[",
            name, note);
    for (size_t i = 0; i < head->classes; i++)
        fprintf(out, "%s\\\"%s\\\"", i > 0 ? "," : "", head->label(i, head->user));
    fputs("]\"}", out);
    for (size_t i = 0; i < BACKBONE_TENSORS; i++) {
        const demo_tensor *t = &backbone->tensors[i];
        add_tensor(out, t->name, t->shape, t->rank, t->count, &at);
    }
    add_tensor(out, "probs/kernel", (size_t[]){BACKBONE_FEATURES, head->classes}, 2, BACKBONE_FEATURES * head->classes,
               &at);
    add_tensor(out, "probs/bias", &head->classes, 1, head->classes, &at);
    fputc('}', out);
    for (long written = ftell(out); (written + 8) % 64 != 0; written++)
        fputc(' ', out);
    return fclose(out) == 0;
}

static bool write_floats(FILE *file, const float *data, size_t count)
{
    return fwrite(data, sizeof *data, count, file) == count; /* little-endian, as every machine that this runs on */
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors are little-endian");

imgq_status demo_file_write(const char *path, const char *name, const char *note, const demo_backbone *backbone,
                            const demo_head *head, imgq_error *err)
{
    char *text = NULL;
    size_t len = 0;
    if (!make_header(name, note, backbone, head, &text, &len)) {
        free(text);
        return cli_fail(err, IMGQ_E_NOMEM, 0, "memory ran out for the header of %s", path);
    }
    FILE *file = fopen(path, "wb");
    const uint64_t header_len = len;
    bool ok = file != NULL && fwrite(&header_len, sizeof header_len, 1, file) == 1 && fwrite(text, 1, len, file) == len;
    for (size_t i = 0; ok && i < BACKBONE_TENSORS; i++)
        ok = write_floats(file, backbone->tensors[i].data, backbone->tensors[i].count);
    ok = ok && write_floats(file, head->weights, BACKBONE_FEATURES * head->classes) &&
         write_floats(file, head->bias, head->classes);
    if (file != NULL && fclose(file) != 0)
        ok = false;
    free(text);
    return ok ? IMGQ_OK : cli_fail(err, IMGQ_E_IO, errno, "write %s: %s", path, strerror(errno));
}
