/* Keras writes the network beside its weights. We run one network, so the configuration is read for what differs
 * between its versions (epsilon, strides), and whatever would make it another network is refused by name. */
#include "import/keras_config.h"

#include "base/alloc.h"
#include "base/fail.h"

#include <float.h>
#include <string.h>

enum { NESTING_MAX = 8 };

static const char *const known_layers[] = {
    "InputLayer", "ZeroPadding2D", "Conv2D",  "Convolution2D", "BatchNormalization",     "Activation",       "ReLU",
    "Softmax",    "MaxPooling2D",  "Add",     "Merge",         "GlobalAveragePooling2D", "AveragePooling2D", "Flatten",
    "Dense",      "Dropout",       "Reshape",
};

typedef struct reading {
    iq_weights *set;
    size_t layers;
} reading;

static imgq_status read_layers(reading *r, const iq_json *model, int depth, imgq_error *err);

static bool is_known(const char *kind)
{
    for (size_t i = 0; i < sizeof known_layers / sizeof *known_layers; i++)
        if (strcmp(kind, known_layers[i]) == 0)
            return true;
    return false;
}

static bool ends_with(const char *text, const char *end)
{
    size_t text_len = strlen(text), end_len = strlen(end);
    return text_len >= end_len && strcmp(text + text_len - end_len, end) == 0;
}

static imgq_status read_norm(reading *r, const char *name, const iq_json *config, imgq_error *err)
{
    const iq_json *said = iq_json_get(config, "epsilon");
    const double number = iq_json_number(said, 0);
    if (!iq_json_is_number(said))
        return IMGQ_OK;
    if (!(number >= FLT_MIN && number <= 1))
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "layer %.64s has epsilon %g, which is not above 0 and at most 1",
                       name, number);
    const float eps = (float)number;
    if (r->set->bn_eps > 0 && r->set->bn_eps != eps) /* the network folds one epsilon into all its layers */
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "layer %.64s has epsilon %g, the ones before it %g", name,
                       (double)eps, (double)r->set->bn_eps);
    r->set->bn_eps = eps;
    return IMGQ_OK;
}

/* v1 and v1.5 differ in which convolution of a stage's first block has the stride of 2. */
static imgq_status read_conv(reading *r, const char *name, const iq_json *config, imgq_error *err)
{
    static const char *const first[] = {"conv3_block1_1_conv", "res3a_branch2a"};
    static const char *const second[] = {"conv3_block1_2_conv", "res3a_branch2b"};
    const iq_json *strides = iq_json_get(config, "strides");
    if (strides == NULL)
        strides = iq_json_get(config, "subsample"); /* Keras 1 */
    double stride = iq_json_number(iq_json_at(strides, 0), 0);
    if (stride == 0)
        return IMGQ_OK;
    for (size_t i = 0; i < 2; i++) {
        bool in_first = ends_with(name, first[i]), in_second = ends_with(name, second[i]);
        if (!in_first && !in_second)
            continue;
        uint32_t layout = (stride == 2) == in_first ? IMGQ_LAYOUT_V1 : IMGQ_LAYOUT_V1_5;
        if (r->set->layout != IMGQ_LAYOUT_AUTO && r->set->layout != layout)
            return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "layer %.64s has stride %g, which is neither v1 nor v1.5", name,
                           stride);
        r->set->layout = layout;
    }
    return IMGQ_OK;
}

static imgq_status read_input(const char *name, const iq_json *config, imgq_error *err)
{
    const iq_json *shape = iq_json_get(config, "batch_input_shape");
    if (shape == NULL)
        shape = iq_json_get(config, "batch_shape");
    for (size_t i = 1; i < 3 && iq_json_is_number(iq_json_at(shape, i)); i++)
        if (iq_json_number(iq_json_at(shape, i), 0) != 224)
            return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "layer %.64s takes %g x %g pixels, only 224 x 224 are run here",
                           name, iq_json_number(iq_json_at(shape, 1), 0), iq_json_number(iq_json_at(shape, 2), 0));
    return IMGQ_OK;
}

static imgq_status read_dense(const char *name, const iq_json *config, imgq_error *err)
{
    const char *activation = iq_json_text(iq_json_get(config, "activation"));
    if (activation != NULL && strcmp(activation, "softmax") != 0 && strcmp(activation, "linear") != 0)
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "layer %.64s ends in %.32s, only softmax is run here", name,
                       activation);
    return IMGQ_OK;
}

static imgq_status read_layer(reading *r, const iq_json *layer, int depth, imgq_error *err)
{
    const char *kind = iq_json_text(iq_json_get(layer, "class_name"));
    const iq_json *config = iq_json_get(layer, "config");
    const char *name = iq_json_text(iq_json_get(config, "name"));
    if (name == NULL)
        name = "(unnamed)";
    if (kind == NULL || config == NULL)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "the model's configuration has a layer without class_name or config");
    r->layers++;
    if (iq_json_is_array(config) || iq_json_get(config, "layers") != NULL)
        return read_layers(r, layer, depth + 1, err);
    if (!is_known(kind))
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "layer %.64s is a %.64s, which ResNet-50 has not", name, kind);
    if (strcmp(kind, "BatchNormalization") == 0)
        return read_norm(r, name, config, err);
    if (strcmp(kind, "Conv2D") == 0 || strcmp(kind, "Convolution2D") == 0)
        return read_conv(r, name, config, err);
    if (strcmp(kind, "InputLayer") == 0)
        return read_input(name, config, err);
    if (strcmp(kind, "Dense") == 0)
        return read_dense(name, config, err);
    return IMGQ_OK;
}

static imgq_status read_layers(reading *r, const iq_json *model, int depth, imgq_error *err)
{
    const iq_json *config = iq_json_get(model, "config");
    /* Keras 2.0 wrote a Sequential model's config as the array of its layers. */
    const iq_json *layers = iq_json_is_array(config) ? config : iq_json_get(config, "layers");
    if (depth > NESTING_MAX || !iq_json_is_array(layers))
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "the model's configuration has no list of layers");
    for (const iq_json *layer = iq_json_first(layers); layer != NULL; layer = iq_json_next(layer)) {
        imgq_status status = read_layer(r, layer, depth, err);
        if (status != IMGQ_OK)
            return status;
    }
    return IMGQ_OK;
}

/* The name that somebody gave the model, not the one that Keras makes up. */
static imgq_status read_name(iq_weights *set, const iq_json *config, imgq_error *err)
{
    static const char *const made_up[] = {"model", "functional", "sequential"};
    const char *name = iq_json_text(iq_json_get(iq_json_get(config, "config"), "name"));
    if (name == NULL || *name == '\0' || strlen(name) > IQ_TENSOR_NAME_MAX)
        return IMGQ_OK;
    for (size_t i = 0; i < sizeof made_up / sizeof *made_up; i++)
        if (strncmp(name, made_up[i], strlen(made_up[i])) == 0)
            return IMGQ_OK;
    set->name = iq_weights_text(set, name, strlen(name));
    return set->name != NULL ? IMGQ_OK : iq_fail_nomem(err, strlen(name) + 1);
}

imgq_status iq_keras_config_read(iq_weights *set, const iq_json *config, imgq_error *err)
{
    reading r = {.set = set};
    imgq_status status = read_layers(&r, config, 0, err);
    if (status == IMGQ_OK && r.layers == 0)
        status = iq_fail(err, IMGQ_E_CORRUPT, 0, "the model's configuration has no layers");
    return status == IMGQ_OK ? read_name(set, config, err) : status;
}
