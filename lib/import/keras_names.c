/* The last two parts of a variable's path are its layer and its kind; Keras 1 wrote both into one word. */
#include "import/keras_names.h"

#include "base/fail.h"

#include <stdbool.h>
#include <string.h>

static const struct {
    const char *before, *now;
} old_kinds[] = {
    {"W", "kernel"},
    {"b", "bias"},
    {"running_mean", "moving_mean"},
    {"running_std", "moving_variance"}, /* Keras 1 called it a deviation and stored the variance */
};

/* The part before `end` and after the last slash before it. */
static const char *last_part(const char *text, const char *end, size_t *len)
{
    const char *start = end;
    while (start > text && start[-1] != '/')
        start--;
    *len = (size_t)(end - start);
    return start;
}

/* TensorFlow names what is built a second time conv1_1, conv1_2; the layer is still conv1. */
static bool is_numbered(const char *owner, size_t owner_len, const char *layer, size_t layer_len)
{
    if (owner_len < layer_len + 2 || memcmp(owner, layer, layer_len) != 0 || owner[layer_len] != '_')
        return false;
    for (size_t i = layer_len + 1; i < owner_len; i++)
        if (owner[i] < '0' || owner[i] > '9')
            return false;
    return true;
}

imgq_status iq_keras_name(const char *layer, const char *variable, char *out, imgq_error *err)
{
    const char *end = variable + strlen(variable);
    const char *colon = strrchr(variable, ':');
    if (colon != NULL && strchr(colon, '/') == NULL)
        end = colon;
    size_t kind_len = 0, layer_len = 0;
    const char *kind = last_part(variable, end, &kind_len);
    const char *owner = kind > variable ? last_part(variable, kind - 1, &layer_len) : NULL;
    if (layer != NULL) {
        size_t listed_len = 0;
        const char *listed = last_part(layer, layer + strlen(layer), &listed_len);
        if (owner == NULL || is_numbered(owner, layer_len, listed, listed_len)) {
            owner = listed;
            layer_len = listed_len;
        }
    }

    if (owner != NULL && kind_len > layer_len + 1 && memcmp(kind, owner, layer_len) == 0 && kind[layer_len] == '_') {
        kind += layer_len + 1;
        kind_len -= layer_len + 1;
    }
    for (size_t i = 0; i < sizeof old_kinds / sizeof *old_kinds; i++)
        if (kind_len == strlen(old_kinds[i].before) && memcmp(kind, old_kinds[i].before, kind_len) == 0) {
            kind = old_kinds[i].now;
            kind_len = strlen(kind);
            break;
        }
    if (owner == NULL || layer_len == 0 || kind_len == 0 || layer_len + 1 + kind_len > IQ_TENSOR_NAME_MAX)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "the variable name \"%.100s\" is not a layer's", variable);
    memcpy(out, owner, layer_len);
    out[layer_len] = '/';
    memcpy(out + layer_len + 1, kind, kind_len);
    out[layer_len + 1 + kind_len] = '\0';
    return IMGQ_OK;
}
