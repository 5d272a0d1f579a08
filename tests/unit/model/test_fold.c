/* Batch norm into weights and bias, and the hash of what was read. */
#include "fake_set.h"
#include "model_tests.h"

#include "model/fold.h"
#include "model/hash.h"
#include "model/widen.h"

#include "support/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IN = 5, OUT = 37, K = 3, KERNEL = OUT * IN * K * K };

static float random_float(void)
{
    static uint32_t state = 12345;
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) * 0x1p-23f - 1.0f;
}

/* One layer of random tensors; kernel in both orders. */
typedef struct layer {
    float oihw[KERNEL], hwio[KERNEL], roles[IQ_ROLES][OUT];
    iq_tensor_view views[IQ_ROLES];
    iq_named_layer named;
} layer;

static void make_layer(layer *l, bool hwio)
{
    static const char *const names[] = {"kernel", "bias", "gamma", "beta", "mean", "variance"};
    for (size_t o = 0; o < OUT; o++)
        for (size_t i = 0; i < IN; i++)
            for (size_t t = 0; t < K * K; t++) {
                const float value = hwio ? l->oihw[(o * IN + i) * K * K + t] : random_float();
                l->oihw[(o * IN + i) * K * K + t] = value;
                l->hwio[(t * IN + i) * OUT + o] = value;
            }
    for (uint32_t role = IQ_ROLE_BIAS; role < IQ_ROLES && !hwio; role++)
        for (size_t o = 0; o < OUT; o++)
            l->roles[role][o] = role == IQ_ROLE_VARIANCE ? fabsf(random_float()) : random_float();
    for (uint32_t role = 0; role < IQ_ROLES; role++) {
        const void *data = role != IQ_ROLE_KERNEL ? l->roles[role] : hwio ? l->hwio : l->oihw;
        l->views[role] = (iq_tensor_view){.name = names[role],
                                          .dtype = IQ_DTYPE_F32,
                                          .data = data,
                                          .bytes = (role == IQ_ROLE_KERNEL ? KERNEL : OUT) * sizeof(float)};
        l->named.roles[role] = &l->views[role];
    }
}

static imgq_status fold_layer(const layer *l, bool hwio, float *weights, float *bias, imgq_error *err)
{
    const iq_fold fold = {.path = "m", .hwio = hwio, .bn_eps = 1e-3f};
    const iq_fold_shape shape = {.taps = K * K, .in = IN, .out = OUT};
    const iq_tensor_view *kernel = l->named.roles[IQ_ROLE_KERNEL];
    double scale[OUT];
    imgq_status status = iq_fold_norm(&fold, &l->named, OUT, scale, bias, err);
    if (status == IMGQ_OK)
        status = iq_fold_check(&fold, kernel, &shape, scale, iq_view_largest(kernel, 0, KERNEL), err);
    if (status == IMGQ_OK)
        iq_fold_weights(&fold, kernel, &shape, scale, weights);
    return status;
}

void both_orders_of_a_kernel_fold_alike(void)
{
    imgq_error err;
    layer l;
    float a[KERNEL], b[KERNEL], a_bias[OUT], b_bias[OUT];
    make_layer(&l, false);
    CHECK_OK(fold_layer(&l, false, a, a_bias, &err));
    make_layer(&l, true);
    CHECK_OK(fold_layer(&l, true, b, b_bias, &err));
    CHECK_EQ_MEM(a, b, sizeof a);
    CHECK_EQ_MEM(a_bias, b_bias, sizeof a_bias);
}

void folding_is_the_definition(void)
{
    imgq_error err;
    layer l;
    float weights[KERNEL], bias[OUT];
    make_layer(&l, false);
    for (int with_bias = 0; with_bias < 2; with_bias++) {
        l.named.roles[IQ_ROLE_BIAS] = with_bias ? &l.views[IQ_ROLE_BIAS] : NULL;
        CHECK_OK(fold_layer(&l, false, weights, bias, &err));
        for (size_t o = 0; o < OUT; o++) {
            /* One window of ones: conv, then batch norm, as they are defined. */
            double sum = with_bias ? (double)l.roles[IQ_ROLE_BIAS][o] : 0, folded = (double)bias[o];
            for (size_t j = 0; j < IN * K * K; j++) {
                sum += (double)l.oihw[o * IN * K * K + j];
                folded += (double)weights[j * OUT + o];
            }
            const double want = (sum - (double)l.roles[IQ_ROLE_MEAN][o]) /
                                    sqrt((double)l.roles[IQ_ROLE_VARIANCE][o] + (double)1e-3f) *
                                    (double)l.roles[IQ_ROLE_GAMMA][o] +
                                (double)l.roles[IQ_ROLE_BETA][o];
            CHECK_NEAR(want, folded, 1e-5 * (1 + fabs(want)));
        }
    }
}

/* What the sixteen bits mean, by their definition. */
static double meaning(uint16_t bits, int exponent_bits)
{
    const int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = (bits & 0x7FFF) >> fraction_bits, fraction = bits & ((1 << fraction_bits) - 1);
    const double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 0)
        return sign * ldexp(fraction, 1 - bias - fraction_bits);
    return sign * ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

/* Through a head, which changes no value: HWIO, so in the order of the file. */
static void widen_through_a_head(uint32_t dtype, int exponent_bits)
{
    uint16_t *halves = malloc(65536 * sizeof *halves);
    size_t count = 0;
    for (uint32_t bits = 0; bits < 65536; bits++)
        if (((bits & 0x7FFF) >> (15 - exponent_bits)) != (1u << exponent_bits) - 1)
            halves[count++] = (uint16_t)bits;
    while (count % IQ_RESNET50_FEATURES != 0)
        halves[count++] = 0;
    const uint32_t classes = (uint32_t)(count / IQ_RESNET50_FEATURES);
    const iq_tensor_view kernel = {.name = "k", .dtype = dtype, .data = (const uint8_t *)halves, .bytes = 2 * count};
    const iq_fold_shape shape = {.taps = 1, .in = IQ_RESNET50_FEATURES, .out = classes};
    const iq_fold fold = {.path = "m", .hwio = true};
    float *out = malloc(count * sizeof *out);
    iq_fold_weights(&fold, &kernel, &shape, NULL, out);
    for (size_t i = 0; i < count; i++)
        if (!CHECK_NEAR(meaning(halves[i], exponent_bits), (double)out[i], 0) ||
            !CHECK_EQ_INT(halves[i] >> 15, signbit(out[i]) != 0))
            break;
    free(halves);
    free(out);
}

void every_half_and_bfloat_widens_exactly(void)
{
    widen_through_a_head(IQ_DTYPE_F16, 5);
    widen_through_a_head(IQ_DTYPE_BF16, 8);
}

void numbers_that_are_none_are_named(void)
{
    imgq_error err;
    layer l;
    float weights[KERNEL], bias[OUT];
    const uint16_t halves[2 * OUT] = {0, 0, 0x7C00};
    make_layer(&l, false);
    l.oihw[77] = NAN;
    CHECK_STATUS(IMGQ_E_CORRUPT, fold_layer(&l, false, weights, bias, &err));
    CHECK_EQ_STR("read model m: tensor 'kernel' has a NaN at index 77", err.message);
    l.oihw[77] = -INFINITY;
    CHECK_STATUS(IMGQ_E_CORRUPT, fold_layer(&l, false, weights, bias, &err));
    CHECK_EQ_STR("read model m: tensor 'kernel' has an infinity at index 77", err.message);
    l.oihw[77] = 3e38f;
    l.roles[IQ_ROLE_GAMMA][77 / (IN * K * K)] = 100;
    CHECK_STATUS(IMGQ_E_CORRUPT, fold_layer(&l, false, weights, bias, &err));
    CHECK_EQ_STR("read model m: tensor 'kernel' overflows when it is scaled", err.message);
    l.oihw[77] = 0;
    l.roles[IQ_ROLE_VARIANCE][3] = -0.5f;
    CHECK_STATUS(IMGQ_E_CORRUPT, fold_layer(&l, false, weights, bias, &err));
    CHECK_EQ_STR("read model m: tensor 'variance' has -0.5 at index 3: no variance", err.message);
    l.roles[IQ_ROLE_VARIANCE][3] = 0.5f;
    l.roles[IQ_ROLE_MEAN][36] = INFINITY;
    CHECK_STATUS(IMGQ_E_CORRUPT, fold_layer(&l, false, weights, bias, &err));
    CHECK_EQ_STR("read model m: tensor 'mean' has an infinity at index 36", err.message);
    l.views[IQ_ROLE_MEAN] =
        (iq_tensor_view){.name = "mean", .dtype = IQ_DTYPE_F16, .data = (const uint8_t *)halves, .bytes = 2 * OUT};
    CHECK_STATUS(IMGQ_E_CORRUPT, fold_layer(&l, false, weights, bias, &err));
    CHECK_EQ_STR("read model m: tensor 'mean' has an infinity at index 2", err.message);
}

static void add(iq_weights *set, const char *name, const uint8_t *data, const size_t *shape, uint32_t rank)
{
    imgq_error err;
    const bool half = rank == 1;
    CHECK_OK(iq_weights_add(set, name, half ? IQ_DTYPE_F16 : IQ_DTYPE_F32, shape, rank, data, half ? 6 : 16, &err));
}

/* @param turned the tensors stand in the other order, under another path, beside one that is no weight @param change
 * this byte is another one */
static void hash_of(bool turned, int change, char hex[65])
{
    imgq_error err;
    uint8_t data[22];
    const size_t shape_a[] = {2, 2}, shape_b[] = {3};
    iq_weights *set = NULL;
    for (int i = 0; i < 22; i++)
        data[i] = (uint8_t)(i == change ? i + 1 : i);
    CHECK_OK(iq_weights_create(test_env(), IQ_SOURCE_SAFETENSORS, turned ? "x" : "y", &set, &err));
    if (turned)
        add(set, "b/x", data + 16, shape_b, 1);
    add(set, "a", data, shape_a, 2);
    if (!turned)
        add(set, "b/x", data + 16, shape_b, 1);
    if (turned)
        CHECK_OK(iq_weights_add(set, "bn1.num_batches_tracked", IQ_DTYPE_OTHER, NULL, 0, data, 8, &err));
    CHECK_OK(iq_weights_set_meta(set, "imgq.name", turned ? "one" : "two", &err));
    CHECK_OK(iq_weights_hash(set, hex, NULL, &err));
    iq_weights_destroy(set);
}

void the_hash_knows_content_not_order(void)
{
    char one[65], two[65];
    hash_of(false, -1, one);
    hash_of(true, -1, two);
    CHECK_EQ_STR(one, two);
    for (int change = 0; change < 22; change++) {
        hash_of(false, change, two);
        CHECK(strcmp(one, two) != 0);
    }
}

void the_hash_is_the_documented_one(void)
{
    /* By Python's hashlib and struct from the words of docs/model-format.md. */
    char hex[65];
    hash_of(false, -1, hex);
    CHECK_EQ_STR("103015da1a8b4710ae373b71f860729c1f77f940b54bb916f3631d9d75eb3b34", hex);
}
