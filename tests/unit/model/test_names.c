/* Families of names, and what is wrong with a set. */
#include "fake_set.h"
#include "model_tests.h"

#include "model/names.h"
#include "model/resnet50.h"

#include "support/check.h"

#include <string.h>

void every_family_is_told_by_its_names(void)
{
    static const iq_family families[] = {IQ_FAMILY_TORCH, IQ_FAMILY_HUGGING_FACE, IQ_FAMILY_KERAS, IQ_FAMILY_KERAS_OLD};
    static const char *const last[] = {"layer4.2.bn3.running_var",
                                       "resnet.encoder.stages.3.layers.2.layer.2.normalization.running_var",
                                       "conv5_block3_3_bn/moving_variance", "bn5c_branch2c/moving_variance"};
    static const char *const shortcut[] = {"layer2.0.downsample.0.weight",
                                           "resnet.encoder.stages.1.layers.0.shortcut.convolution.weight",
                                           "conv3_block1_0_conv/kernel", "res3a_branch1/kernel"};
    for (size_t i = 0; i < 4; i++) {
        imgq_error err;
        iq_named named;
        iq_weights *set = fake_set(test_env(), (fake_names)i, 7, NULL);
        if (CHECK_OK(iq_names_resolve(set, &named, &err))) {
            CHECK_EQ_INT(families[i], named.family);
            CHECK_EQ_SIZE(7, named.classes);
            CHECK_EQ_STR(last[i], named.layers[52].roles[IQ_ROLE_VARIANCE]->name);
            CHECK_EQ_STR(shortcut[i], named.layers[14].roles[IQ_ROLE_KERNEL]->name);
            CHECK(named.layers[IQ_RESNET50_HEAD].roles[IQ_ROLE_BIAS] != NULL);
        }
        iq_weights_destroy(set);
    }
}

typedef struct fault {
    fake_names names;
    fake_faults faults;
    imgq_status status;
    const char *message;
} fault;

#define M "read model folder/fake.safetensors: "

static const fault faults[] = {
    {FAKE_TORCH,
     {.leave_out = "layer3.5.bn2.running_mean"},
     IMGQ_E_CORRUPT,
     M "tensor 'layer3.5.bn2.running_mean' is missing"},
    {FAKE_TORCH, {.leave_out = "conv1.weight"}, IMGQ_E_CORRUPT, M "tensor 'conv1.weight' is missing"},
    {FAKE_TORCH, {.leave_out = "fc.weight"}, IMGQ_E_CORRUPT, M "no head (fc.weight): these weights cannot classify"},
    {FAKE_TORCH, {.leave_out = "fc.bias"}, IMGQ_E_CORRUPT, M "tensor 'fc.bias' is missing"},
    {FAKE_TORCH,
     {.add = "layer3.6.conv1.weight"},
     IMGQ_E_CORRUPT,
     M "tensor 'layer3.6.conv1.weight' is not part of a ResNet-50"},
    {FAKE_TORCH,
     {.reshape = "layer1.0.conv2.weight"},
     IMGQ_E_CORRUPT,
     M "tensor 'layer1.0.conv2.weight' has shape 64x64x3x2, a ResNet-50 has 64x64x3x3"},
    {FAKE_TORCH, {.reshape = "bn1.bias"}, IMGQ_E_CORRUPT, M "tensor 'bn1.bias' has shape 63, a ResNet-50 has 64"},
    {FAKE_TORCH,
     {.reshape = "fc.weight"},
     IMGQ_E_CORRUPT,
     M "tensor 'fc.weight' has shape 7x2047, a ResNet-50 has 7x2048"},
    {FAKE_TORCH, {.reshape = "fc.bias"}, IMGQ_E_CORRUPT, M "tensor 'fc.bias' has shape 6, a ResNet-50 has 7"},
    {FAKE_TORCH,
     {.retype = "layer4.0.downsample.0.weight"},
     IMGQ_E_UNSUPPORTED,
     M "tensor 'layer4.0.downsample.0.weight' is of a type that is not read: F32, F16 and BF16 are"},
    {FAKE_HUGGING_FACE,
     {.leave_out = "resnet.encoder.stages.2.layers.3.layer.1.convolution.weight"},
     IMGQ_E_CORRUPT,
     M "tensor 'resnet.encoder.stages.2.layers.3.layer.1.convolution.weight' is missing"},
    {FAKE_HUGGING_FACE,
     {.leave_out = "classifier.1.weight"},
     IMGQ_E_CORRUPT,
     M "no head (classifier.1.weight): these weights cannot classify"},
    {FAKE_KERAS,
     {.leave_out = "conv4_block6_2_bn/beta"},
     IMGQ_E_CORRUPT,
     M "tensor 'conv4_block6_2_bn/beta' is missing"},
    {FAKE_KERAS,
     {.leave_out = "predictions/kernel"},
     IMGQ_E_CORRUPT,
     M "no head (a kernel of two dimensions): these weights cannot classify"},
    {FAKE_KERAS, {.leave_out = "predictions/bias"}, IMGQ_E_CORRUPT, M "tensor 'predictions/bias' is missing"},
    {FAKE_KERAS, {.add = "dropout/seed"}, IMGQ_E_CORRUPT, M "tensor 'dropout/seed' is not part of a ResNet-50"},
    {FAKE_KERAS_OLD,
     {.reshape = "res2a_branch1/kernel"},
     IMGQ_E_CORRUPT,
     M "tensor 'res2a_branch1/kernel' has shape 1x1x64x255, a ResNet-50 has 1x1x64x256"},
};

void missing_foreign_and_misshaped_tensors_are_named(void)
{
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        imgq_error err = {0};
        imgq_model *model = NULL;
        iq_weights *set = fake_set(test_env(), faults[i].names, 7, &faults[i].faults);
        CHECK_STATUS(faults[i].status, iq_model_from_weights(test_env(), set, NULL, &model, &err));
        CHECK(model == NULL);
        CHECK_EQ_STR(faults[i].message, err.message);
        iq_weights_destroy(set);
    }
    /* A conv's own bias is no stranger. */
    imgq_error err;
    iq_named named;
    const size_t channels = 64, head[] = {2048, 5};
    static const float zeros[2048 * 5];
    iq_weights *set = fake_set(test_env(), FAKE_TORCH, 7, NULL);
    CHECK_OK(iq_weights_add(set, "conv1.bias", IQ_DTYPE_F32, &channels, 1, zeros, sizeof(float) * 64, &err));
    CHECK_OK(iq_names_resolve(set, &named, &err));
    CHECK(named.layers[0].roles[IQ_ROLE_BIAS] != NULL);
    iq_weights_destroy(set);
    /* Two dense layers: which one is the head? */
    set = fake_set(test_env(), FAKE_KERAS, 7, NULL);
    CHECK_OK(iq_weights_add(set, "dense_1/kernel", IQ_DTYPE_F32, head, 2, zeros, sizeof zeros, &err));
    CHECK_STATUS(IMGQ_E_CORRUPT, iq_names_resolve(set, &named, &err));
    CHECK_EQ_STR(M "two dense layers, 'predictions/kernel' and 'dense_1/kernel': a ResNet-50 has one", err.message);
    iq_weights_destroy(set);
}

void a_file_of_something_else_is_refused(void)
{
    imgq_error err = {0};
    imgq_model *model = NULL;
    iq_weights *set = NULL;
    const float value = 1;
    CHECK_OK(iq_weights_create(test_env(), IQ_SOURCE_SAFETENSORS, "bert.safetensors", &set, &err));
    CHECK_STATUS(IMGQ_E_FORMAT, iq_model_from_weights(test_env(), set, NULL, &model, &err));
    CHECK_EQ_STR("read model bert.safetensors: no ResNet-50: 0 tensors, the first is ''", err.message);
    CHECK_OK(iq_weights_add(set, "bert.pooler.dense.weight", IQ_DTYPE_F32, NULL, 0, &value, 4, &err));
    CHECK_STATUS(IMGQ_E_FORMAT, iq_model_from_weights(test_env(), set, NULL, &model, &err));
    CHECK_EQ_STR("read model bert.safetensors: no ResNet-50: 1 tensors, the first is 'bert.pooler.dense.weight'",
                 err.message);
    iq_weights_destroy(set);
}

void the_stride_sits_where_the_layout_says(void)
{
    for (uint32_t layout = IMGQ_LAYOUT_V1; layout <= IMGQ_LAYOUT_V1_5; layout++) {
        static const float *const none[IQ_RESNET50_LAYERS];
        size_t sources[IQ_RESNET50_OPS], found = 0;
        iq_layer ops[IQ_RESNET50_OPS];
        size_t strided_1x1 = 0, strided_3x3 = 0, residuals = 0;
        iq_resnet50_build(layout, 1000, none, ops, sources);
        for (size_t i = 1; i < IQ_RESNET50_OPS; i++) {
            if (ops[i].op != IQ_OP_CONV)
                continue;
            strided_1x1 += ops[i].kernel == 1 && ops[i].stride == 2;
            strided_3x3 += ops[i].kernel == 3 && ops[i].stride == 2;
            residuals += ops[i].residual != IQ_NO_VALUE;
        }
        for (size_t i = 0; i < IQ_RESNET50_OPS; i++) {
            const bool has_weights = ops[i].op == IQ_OP_CONV || ops[i].op == IQ_OP_DENSE;
            CHECK_EQ_INT(has_weights, sources[i] < IQ_RESNET50_LAYERS);
            if (sources[i] >= IQ_RESNET50_CONVS)
                continue;
            CHECK_EQ_INT(iq_resnet50_conv_at(sources[i]).out_channels, ops[i].out_channels);
            found += sources[i];
        }
        CHECK_EQ_SIZE(IQ_RESNET50_CONVS * (IQ_RESNET50_CONVS - 1) / 2, found); /* each of them once */
        CHECK_EQ_SIZE(IQ_RESNET50_HEAD, sources[IQ_RESNET50_OPS - 1]);
        CHECK_EQ_SIZE(layout == IMGQ_LAYOUT_V1 ? 6 : 3, strided_1x1);
        CHECK_EQ_SIZE(layout == IMGQ_LAYOUT_V1 ? 0 : 3, strided_3x3);
        CHECK_EQ_SIZE(16, residuals);
    }
}
