#include "fake_set.h"

#include "support/check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ZEROS = 2048 * 2000 };

static float zeros[ZEROS];

typedef struct builder {
    iq_weights *set;
    fake_names names;
    const fake_faults *faults;
    imgq_status status;
} builder;

static bool named(const char *fault, const char *name)
{
    return fault != NULL && strcmp(fault, name) == 0;
}

static void put(builder *b, const char *name, const size_t *shape, uint32_t rank)
{
    static const fake_faults none;
    const fake_faults *faults = b->faults != NULL ? b->faults : &none;
    size_t own[4], bytes = sizeof(float);
    if (b->status != IMGQ_OK || named(faults->leave_out, name))
        return;
    memcpy(own, shape, rank * sizeof *own);
    if (named(faults->reshape, name))
        own[rank - 1]--;
    for (uint32_t d = 0; d < rank; d++)
        bytes *= own[d];
    b->status = iq_weights_add(b->set, name, named(faults->retype, name) ? IQ_DTYPE_OTHER : IQ_DTYPE_F32, own, rank,
                               named(faults->replace, name) ? faults->data : zeros, bytes, NULL);
}

static bool is_keras(const builder *b)
{
    return b->names == FAKE_KERAS || b->names == FAKE_KERAS_OLD;
}

/* conv and bn: the two prefixes, up to and with '.' or '/' */
static void put_pair(builder *b, const char *conv, const char *bn, size_t out, size_t in, size_t k)
{
    static const char *const keras[] = {"gamma", "beta", "moving_mean", "moving_variance"};
    static const char *const torch[] = {"weight", "bias", "running_mean", "running_var"};
    const size_t oihw[] = {out, in, k, k}, hwio[] = {k, k, in, out};
    char name[256];
    snprintf(name, sizeof name, "%s%s", conv, is_keras(b) ? "kernel" : "weight");
    put(b, name, is_keras(b) ? hwio : oihw, 4);
    if (is_keras(b)) {
        snprintf(name, sizeof name, "%sbias", conv);
        put(b, name, &out, 1);
    }
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", bn, is_keras(b) ? keras[i] : torch[i]);
        put(b, name, &out, 1);
    }
    if (b->names == FAKE_TORCH && b->status == IMGQ_OK) {
        snprintf(name, sizeof name, "%snum_batches_tracked", bn);
        b->status = iq_weights_add(b->set, name, IQ_DTYPE_OTHER, NULL, 0, zeros, 8, NULL);
    }
}

/* Conv `branch` (0: the shortcut) of a block, all counted from 0 but branch. */
static void put_branch(builder *b, int stage, int block, int branch, size_t out, size_t in, size_t k)
{
    char conv[200], bn[200];
    switch (b->names) {
    case FAKE_TORCH:
        snprintf(conv, sizeof conv, branch == 0 ? "layer%d.%d.downsample.0." : "layer%d.%d.conv%d.", stage + 1, block,
                 branch);
        snprintf(bn, sizeof bn, branch == 0 ? "layer%d.%d.downsample.1." : "layer%d.%d.bn%d.", stage + 1, block,
                 branch);
        break;
    case FAKE_HUGGING_FACE:
        snprintf(conv, sizeof conv,
                 branch == 0 ? "resnet.encoder.stages.%d.layers.%d.shortcut.convolution."
                             : "resnet.encoder.stages.%d.layers.%d.layer.%d.convolution.",
                 stage, block, branch - 1);
        snprintf(bn, sizeof bn,
                 branch == 0 ? "resnet.encoder.stages.%d.layers.%d.shortcut.normalization."
                             : "resnet.encoder.stages.%d.layers.%d.layer.%d.normalization.",
                 stage, block, branch - 1);
        break;
    case FAKE_KERAS:
        snprintf(conv, sizeof conv, "conv%d_block%d_%d_conv/", stage + 2, block + 1, branch);
        snprintf(bn, sizeof bn, "conv%d_block%d_%d_bn/", stage + 2, block + 1, branch);
        break;
    case FAKE_KERAS_OLD:
        snprintf(conv, sizeof conv, branch == 0 ? "res%d%c_branch1/" : "res%d%c_branch2%c/", stage + 2, 'a' + block,
                 'a' + branch - 1);
        snprintf(bn, sizeof bn, branch == 0 ? "bn%d%c_branch1/" : "bn%d%c_branch2%c/", stage + 2, 'a' + block,
                 'a' + branch - 1);
        break;
    }
    put_pair(b, conv, bn, out, in, k);
}

static void put_stages(builder *b)
{
    static const int blocks[] = {3, 4, 6, 3};
    size_t in = 64;
    for (int stage = 0; stage < 4; stage++) {
        const size_t width = (size_t)64 << stage;
        for (int block = 0; block < blocks[stage]; block++) {
            put_branch(b, stage, block, 1, width, in, 1);
            put_branch(b, stage, block, 2, width, width, 3);
            put_branch(b, stage, block, 3, 4 * width, width, 1);
            if (block == 0)
                put_branch(b, stage, block, 0, 4 * width, in, 1);
            in = 4 * width;
        }
    }
}

iq_weights *fake_set(imgq_env *env, fake_names names, size_t classes, const fake_faults *faults)
{
    static const char *const stems[][4] = {
        [FAKE_TORCH] = {"conv1.", "bn1.", "fc.weight", "fc.bias"},
        [FAKE_HUGGING_FACE] = {"resnet.embedder.embedder.convolution.", "resnet.embedder.embedder.normalization.",
                               "classifier.1.weight", "classifier.1.bias"},
        [FAKE_KERAS] = {"conv1_conv/", "conv1_bn/", "predictions/kernel", "predictions/bias"},
        [FAKE_KERAS_OLD] = {"conv1/", "bn_conv1/", "fc1000/kernel", "fc1000/bias"},
    };
    builder b = {.names = names, .faults = faults};
    if (iq_weights_create(env, IQ_SOURCE_SAFETENSORS, "folder/fake.safetensors", &b.set, NULL) != IMGQ_OK)
        return NULL;
    put_pair(&b, stems[names][0], stems[names][1], 64, 3, 7);
    put_stages(&b);
    const size_t torch_head[] = {classes, 2048}, keras_head[] = {2048, classes};
    put(&b, stems[names][2], is_keras(&b) ? keras_head : torch_head, 2);
    put(&b, stems[names][3], &classes, 1);
    if (faults != NULL && faults->add != NULL)
        put(&b, faults->add, (const size_t[]){3}, 1);
    if (b.status != IMGQ_OK) {
        iq_weights_destroy(b.set);
        return NULL;
    }
    return b.set;
}

uint8_t *fake_file(const char *header, size_t body_len, size_t *len)
{
    const size_t header_len = strlen(header);
    *len = 8 + header_len + body_len;
    uint8_t *bytes = malloc(*len);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)header_len >> (8 * i));
    memcpy(bytes + 8, header, header_len);
    for (size_t i = 0; i < body_len; i++)
        bytes[8 + header_len + i] = (uint8_t)i;
    return bytes;
}

static char folder[200];

const char *fake_folder(void)
{
    if (*folder == '\0') {
        const char *tmp = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/imgq-model-XXXXXX", tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
        CHECK(mkdtemp(folder) != NULL);
        strcat(folder, "/");
    }
    return folder;
}

const char *fake_path(const char *name, const void *bytes, size_t len)
{
    static char paths[4][300];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s%s", fake_folder(), name);
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fwrite(bytes, 1, len, file) == len);
    if (file != NULL)
        fclose(file);
    return path;
}

void fake_clean(void)
{
    if (*folder == '\0')
        return;
    DIR *list = opendir(folder);
    for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(list), entry->d_name, 0);
    if (list != NULL)
        closedir(list);
    rmdir(folder);
    *folder = '\0';
}
