/* The real weights against float64 answers: every image, every way to run them. */
#include <imgq/session.h>

#include "base/buf.h"
#include "base/json.h"
#include "model/model.h"
#include "model/weights.h"
#include "nn/forward.h"
#include "nn/ops/softmax.h"
#include "unit/nn/amx_emulated.h"

#include "support/check.h"
#include "support/shared.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLASSES = 1000, INPUT = 224 * 224 * 3, FEW = 8, TOP = 5 };

static imgq_env *env;

static bool ready(void)
{
    if (!shared_is_there())
        return false;
    if (access(weights_path("resnet50_bf16.safetensors"), R_OK) == 0)
        return true;
    check_skip("no weights in the build tree: ctest writes them (fixture model_weights)");
    return false;
}

static imgq_model *open_model(const char *name, uint32_t layout, const char *profile)
{
    imgq_error err = {0};
    imgq_model *model = NULL;
    imgq_model_options options = IMGQ_MODEL_OPTIONS_INIT;
    options.layout = layout;
    options.profile = profile;
    CHECK_OK(imgq_model_open(env, weights_path(name), &options, &model, &err));
    return model;
}

/* Every way to compute; the native ones where the processor has them. NULL, NULL: what a user gets. */
typedef struct way {
    const char *engine, *isa;
} way;

static const way best = {0};
static const way ways[] = {{NULL, NULL}, {"native", "avx512"}, {"native", "avx2"}, {"openblas", NULL}};

enum { WAYS = sizeof ways / sizeof *ways };

/* Whether this machine computes so, and not only says so: with less than AVX-512 the first two of native are one. */
static bool is_here(imgq_model *model, const way *w)
{
    imgq_error err = {0};
    imgq_session *session = NULL;
    imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
    options.max_batch = options.threads = 1;
    options.engine = w->engine;
    options.isa = w->isa;
    const imgq_status status = model != NULL ? imgq_session_create(model, &options, &session, &err) : IMGQ_E_INVALID;
    imgq_session_destroy(session);
    if (status == IMGQ_E_UNSUPPORTED)
        fprintf(stderr, "not on this machine: %s\n", err.message);
    return status == IMGQ_OK;
}

static imgq_session *open_session(imgq_model *model, size_t max_batch, size_t threads, const way *w)
{
    imgq_error err = {0};
    imgq_session *session = NULL;
    imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
    options.max_batch = max_batch;
    options.threads = threads;
    options.engine = w->engine;
    options.isa = w->isa;
    if (model != NULL)
        CHECK_OK(imgq_session_create(model, &options, &session, &err));
    return session;
}

/* An image of the shared folder, by its name alone. */
static bool read_image(const char *name, iq_buf *file)
{
    char path[300];
    imgq_error err = {0};
    snprintf(path, sizeof path, "images/%s", name);
    if (access(shared_path(path), R_OK) != 0)
        snprintf(path, sizeof path, "images/imagenet/%s", name);
    iq_buf_clear(file);
    return CHECK_OK(iq_buf_read_file(env, file, shared_path(path), 64 << 20, &err));
}

static bool prepare(const char *name, const imgq_recipe *recipe, float *nhwc)
{
    imgq_error err = {0};
    imgq_image *image = NULL;
    iq_buf file = {0};
    bool ok = read_image(name, &file) && CHECK_OK(imgq_image_decode(env, file.data, file.len, NULL, &image, &err)) &&
              CHECK_OK(imgq_image_preprocess(image, recipe, nhwc, INPUT, &err));
    imgq_image_destroy(image);
    iq_buf_release(env, &file);
    return ok;
}

static iq_json *read_oracle(const char *name)
{
    imgq_error err = {0};
    iq_buf file = {0};
    iq_json *root = NULL;
    if (CHECK_OK(iq_buf_read_file(env, &file, shared_path(name), 64 << 20, &err)))
        CHECK_OK(iq_json_parse((const char *)file.data, file.len, &root, &err));
    iq_buf_release(env, &file);
    return root;
}

static double number(const iq_json *object, const char *key)
{
    return iq_json_number(iq_json_get(object, key), NAN);
}

/* The oracle's five best of one image, in order. */
static void check_top5(const iq_json *entry, const float *probs, double within)
{
    imgq_prediction top[TOP];
    const iq_json *want = iq_json_first(iq_json_get(entry, "top5"));
    CHECK_EQ_SIZE(TOP, imgq_topk(probs, CLASSES, top, TOP));
    for (size_t i = 0; i < TOP && CHECK(want != NULL); i++, want = iq_json_next(want)) {
        CHECK_EQ_SIZE((uint64_t)number(want, "index"), top[i].class_id);
        CHECK_NEAR(number(want, "probability"), (double)top[i].probability, within);
    }
}

static void compare_v15(imgq_model *model, const way *w)
{
    imgq_error err = {0};
    imgq_session *session = open_session(model, 1, 2, w);
    iq_json *oracle = read_oracle("oracle/v15.json");
    float *image = malloc(INPUT * sizeof *image), logits[CLASSES];
    size_t images = 0;
    for (const iq_json *entry = iq_json_first(iq_json_get(oracle, "files")); entry != NULL && session != NULL;
         entry = iq_json_next(entry), images++) {
        if (!prepare(iq_json_text(iq_json_get(entry, "file")), imgq_model_recipe(model), image) ||
            !CHECK_OK(imgq_session_logits(session, image, 1, logits, CLASSES, &err)))
            continue;
        double squares = 0;
        for (size_t c = 0; c < CLASSES; c++)
            squares += (double)logits[c] * (double)logits[c];
        CHECK_NEAR(number(entry, "logits_sum_of_squares"), squares, 0.02);
        const iq_json *want = iq_json_first(iq_json_get(entry, "logits_first_8"));
        for (size_t c = 0; c < 8 && CHECK(want != NULL); c++, want = iq_json_next(want))
            CHECK_NEAR(iq_json_number(want, NAN), (double)logits[c], 2e-4);
        for (want = iq_json_first(iq_json_get(entry, "top5")); want != NULL; want = iq_json_next(want))
            CHECK_NEAR(number(want, "logit"), (double)logits[(size_t)number(want, "index")], 2e-4);
        iq_softmax(logits, CLASSES);
        check_top5(entry, logits, 1e-5);
    }
    CHECK_EQ_SIZE(12, images);
    free(image);
    iq_json_free(oracle);
    imgq_session_destroy(session);
}

static void as_v15_the_logits_are_the_oracles(void)
{
    if (!ready())
        return;
    imgq_model *model = open_model("resnet50.safetensors", IMGQ_LAYOUT_AUTO, NULL);
    for (size_t w = 0; w < WAYS; w++)
        if (is_here(model, &ways[w]))
            compare_v15(model, &ways[w]);
    if (model != NULL) {
        CHECK_EQ_SIZE(IMGQ_LAYOUT_V1_5, imgq_model_layout(model));
        CHECK_EQ_STR("torchvision", imgq_model_recipe(model)->profile);
    }
    imgq_model_close(model);
}

static void compare_v1(imgq_model *model, const way *w)
{
    imgq_error err = {0};
    imgq_session *session = open_session(model, FEW, 2, w);
    iq_json *oracle = read_oracle("oracle/keras.json");
    const iq_json *files = iq_json_get(oracle, "files");
    const size_t count = iq_json_count(files);
    float *images = malloc(FEW * INPUT * sizeof *images), probs[FEW * CLASSES];
    CHECK_EQ_SIZE(102, count);
    for (size_t first = 0; first < count && session != NULL; first += FEW) {
        const size_t batch = count - first < FEW ? count - first : FEW;
        for (size_t i = 0; i < batch; i++)
            if (!prepare(iq_json_text(iq_json_get(iq_json_at(files, first + i), "file")), imgq_model_recipe(model),
                         images + i * INPUT))
                memset(images + i * INPUT, 0, INPUT * sizeof *images);
        if (CHECK_OK(imgq_session_run(session, images, batch, probs, batch * CLASSES, &err)))
            for (size_t i = 0; i < batch; i++)
                check_top5(iq_json_at(files, first + i), probs + i * CLASSES, 1e-5);
    }
    free(images);
    iq_json_free(oracle);
    imgq_session_destroy(session);
}

static void as_v1_every_image_is_answered_as_by_the_oracle(void)
{
    if (!ready())
        return;
    imgq_model *model = open_model("resnet50.safetensors", IMGQ_LAYOUT_V1, "keras");
    for (size_t w = 0; w < WAYS; w++)
        if (is_here(model, &ways[w]))
            compare_v1(model, &ways[w]);
    imgq_model_close(model);
}

/* How far one way to compute is off, over a whole oracle. */
typedef struct score {
    size_t images, first_agrees, five_in_order;
    double worst; /* error of a probability that the oracle names */
} score;

static void add_score(score *s, const iq_json *entry, const float *probs)
{
    imgq_prediction top[TOP];
    bool in_order = imgq_topk(probs, CLASSES, top, TOP) == TOP;
    size_t i = 0;
    for (const iq_json *want = iq_json_first(iq_json_get(entry, "top5")); want != NULL && i < TOP;
         want = iq_json_next(want), i++) {
        const size_t class_id = (size_t)number(want, "index");
        const double error = fabs(number(want, "probability") - (double)probs[class_id]);
        s->worst = error > s->worst || isnan(error) ? error : s->worst;
        if (i == 0)
            s->first_agrees += top[0].class_id == class_id;
        in_order = in_order && top[i].class_id == class_id;
    }
    s->five_in_order += in_order;
    s->images++;
}

/* Every `every`th image of an oracle. */
static score score_of(imgq_model *model, const char *oracle_name, size_t every, iq_forward *forward)
{
    score s = {0};
    iq_json *oracle = read_oracle(oracle_name);
    const iq_json *files = iq_json_get(oracle, "files");
    float *image = malloc(INPUT * sizeof *image), probs[CLASSES];
    for (size_t i = 0; i < iq_json_count(files) && forward != NULL; i += every) {
        const iq_json *entry = iq_json_at(files, i);
        if (!prepare(iq_json_text(iq_json_get(entry, "file")), imgq_model_recipe(model), image))
            continue;
        iq_forward_run(forward, image, 1, probs);
        iq_softmax(probs, CLASSES);
        add_score(&s, entry, probs);
    }
    free(image);
    iq_json_free(oracle);
    return s;
}

static score score_precision(imgq_model *model, const char *oracle, size_t every, const char *precision,
                             const iq_bf16_set *set, const char **ran)
{
    static const char none[] = "";
    imgq_error err = {0};
    iq_forward *forward = NULL;
    const iq_forward_options options = {.height = 224,
                                        .width = 224,
                                        .max_images = 1,
                                        .threads = 2,
                                        .precision = precision,
                                        .bf16 = set,
                                        .packs = iq_model_packs(model)};
    const char *why = NULL;
    *ran = none;
    if (CHECK_OK(iq_forward_create(env, iq_model_net(model), &options, &forward, &err)))
        *ran = iq_forward_precision(forward, &why);
    if (why != NULL)
        fprintf(stderr, "%s is %s here: %s\n", precision, *ran, why);
    const score s = score_of(model, oracle, every, forward);
    fprintf(stderr, "%s (%s, %s): %zu images, first class agrees on %zu, five in order on %zu, worst error %.2e\n",
            precision, set != NULL ? "emulated" : "native", oracle, s.images, s.first_agrees, s.five_in_order, s.worst);
    iq_forward_destroy(forward);
    return s;
}

/* Tile units are emulated: a second an image, so that only a --full check has all of them. */
static size_t emulated_every(size_t few)
{
    const char *all = getenv("TEST_EVERY_IMAGE");
    return all != NULL && *all == '1' ? 1 : few;
}

static void medium_names_the_oracles_first_class(void)
{
    if (!ready())
        return;
    const char *ran;
    imgq_model *model = open_model("resnet50.safetensors", IMGQ_LAYOUT_V1, "keras");
    if (model != NULL) {
        const score s = score_precision(model, "oracle/keras.json", 1, "medium", NULL, &ran);
        CHECK_EQ_SIZE(102, s.images);
        CHECK(s.first_agrees >= (strcmp(ran, "medium") == 0 ? 101 : 102));
        CHECK(s.worst < 0.15);
        const score tiles =
            score_precision(model, "oracle/keras.json", emulated_every(17), "medium", &amx_emulated, &ran);
        CHECK(strcmp(ran, "medium") == 0 || iq_kernels_best(IQ_ISA_AVX512) == NULL);
        CHECK(tiles.first_agrees + 1 >= tiles.images);
        CHECK(tiles.worst < 0.15);
    }
    imgq_model_close(model);
    model = open_model("resnet50.safetensors", IMGQ_LAYOUT_AUTO, NULL);
    if (model != NULL) {
        const score s = score_precision(model, "oracle/v15.json", 1, "medium", NULL, &ran);
        CHECK_EQ_SIZE(12, s.images);
        CHECK_EQ_SIZE(12, s.first_agrees);
        CHECK(s.worst < 0.03);
    }
    imgq_model_close(model);
}

/* Three products of bf16 are the reference's answer to four digits, in its order. */
static void high_is_the_oracles_answer(void)
{
    if (!ready())
        return;
    static const char *const oracles[] = {"oracle/keras.json", "oracle/v15.json"};
    for (size_t o = 0; o < 2; o++) {
        const char *ran;
        imgq_model *model =
            open_model("resnet50.safetensors", o == 0 ? IMGQ_LAYOUT_V1 : IMGQ_LAYOUT_AUTO, o == 0 ? "keras" : NULL);
        if (model == NULL)
            continue;
        const score s =
            score_precision(model, oracles[o], emulated_every(o == 0 ? 17 : 6), "high", &amx_emulated, &ran);
        CHECK(strcmp(ran, "high") == 0 || iq_kernels_best(IQ_ISA_AVX512) == NULL);
        CHECK(s.images > 0);
        CHECK_EQ_SIZE(s.images, s.five_in_order);
        CHECK(s.worst < 2e-4);
        imgq_model_close(model);
    }
}

static const char *const few_names[FEW] = {
    "castle_image.jpg",
    "jemma.png",
    "n01514668_cock.JPEG",
    "n01580077_jay.JPEG",
    "n01631663_eft.JPEG",
    "n01669191_box_turtle.JPEG",
    "n01735189_garter_snake.JPEG",
    "n01755581_diamondback.JPEG",
};

/* Probabilities of the few images in runs of `batch`. */
static void answer_few(imgq_model *model, const float *images, size_t batch, size_t threads, const way *w, size_t count,
                       float *probs)
{
    imgq_error err = {0};
    imgq_session *session = open_session(model, batch, threads, w);
    for (size_t i = 0; i < count && session != NULL; i += batch) {
        const size_t now = count - i < batch ? count - i : batch;
        CHECK_OK(imgq_session_run(session, images + i * INPUT, now, probs + i * CLASSES, now * CLASSES, &err));
    }
    imgq_session_destroy(session);
}

static double largest_difference(const float *a, const float *b, size_t count)
{
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        const double off = fabs((double)a[i] - (double)b[i]);
        worst = off > worst || isnan(off) ? off : worst;
    }
    return worst;
}

static float *few_images(const imgq_model *model)
{
    float *images = calloc(FEW * INPUT, sizeof *images);
    for (size_t i = 0; i < FEW; i++)
        CHECK(prepare(few_names[i], imgq_model_recipe(model), images + i * INPUT));
    return images;
}

static void batches_threads_and_neighbours_change_nothing(void)
{
    if (!ready())
        return;
    static const size_t batches[] = {1, 3, 8};
    static float first[FEW * CLASSES], one[FEW * CLASSES], two[FEW * CLASSES];
    imgq_model *model = open_model("resnet50.safetensors", IMGQ_LAYOUT_V1, "keras");
    if (model == NULL)
        return;
    float *images = few_images(model);
    for (size_t b = 0; b < 3; b++) {
        answer_few(model, images, batches[b], 1, &best, FEW, one);
        answer_few(model, images, batches[b], 2, &best, FEW, two);
        CHECK_EQ_MEM(one, two, sizeof one);
        if (b == 0)
            memcpy(first, one, sizeof first);
        CHECK_NEAR(0, largest_difference(first, one, FEW * CLASSES), 1e-5);
    }
    free(images);
    imgq_model_close(model);
}

static void plain_loops_and_matrix_products_agree(void)
{
    if (!ready())
        return;
    static const way plain = {.engine = "scalar"};
    static float scalar[2 * CLASSES], fast[2 * CLASSES];
    imgq_model *model = open_model("resnet50.safetensors", IMGQ_LAYOUT_V1, "keras");
    if (model == NULL)
        return;
    float *images = few_images(model);
    answer_few(model, images, 2, 2, &plain, 2, scalar);
    answer_few(model, images, 2, 2, &best, 2, fast);
    CHECK_NEAR(0, largest_difference(scalar, fast, 2 * CLASSES), 1e-5);
    free(images);
    imgq_model_close(model);
}

/* Every tensor of 16 bits as the same numbers in 32. */
static iq_weights *widened(const iq_weights *set)
{
    imgq_error err = {0};
    iq_weights *wide = NULL;
    CHECK_OK(iq_weights_create(env, IQ_SOURCE_SAFETENSORS, "wide.safetensors", &wide, &err));
    for (size_t t = 0; t < set->count; t++) {
        const iq_tensor_view *view = &set->tensors[t];
        if (view->dtype == IQ_DTYPE_F32) {
            CHECK_OK(
                iq_weights_add(wide, view->name, view->dtype, view->shape, view->rank, view->data, view->bytes, &err));
            continue;
        }
        const size_t count = view->bytes / 2;
        float *values = iq_weights_alloc(wide, count * sizeof *values);
        for (size_t i = 0; i < count; i++) {
            uint16_t bits;
            memcpy(&bits, view->data + 2 * i, 2);
            const int exponent = view->dtype == IQ_DTYPE_F16 ? (bits >> 10) & 31 : (bits >> 7) & 255;
            const int fraction = view->dtype == IQ_DTYPE_F16 ? bits & 1023 : bits & 127;
            const int fraction_bits = view->dtype == IQ_DTYPE_F16 ? 10 : 7;
            const int bias = view->dtype == IQ_DTYPE_F16 ? 15 : 127;
            const double magnitude = exponent == 0
                                         ? ldexp(fraction, 1 - bias - fraction_bits)
                                         : ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
            values[i] = (float)(bits & 0x8000 ? -magnitude : magnitude);
        }
        CHECK_OK(iq_weights_add(wide, view->name, IQ_DTYPE_F32, view->shape, view->rank, values, count * sizeof *values,
                                &err));
    }
    return wide;
}

static void half_weights_answer_as_the_same_numbers_widened(void)
{
    if (!ready())
        return;
    static const char *const names[] = {"resnet50_f16.safetensors", "resnet50_bf16.safetensors"};
    for (size_t n = 0; n < 2; n++) {
        static float half[CLASSES], wide[CLASSES];
        imgq_error err = {0};
        iq_weights *set = NULL;
        imgq_model *half_model = NULL, *wide_model = NULL;
        if (!CHECK_OK(iq_weights_open_safetensors(env, weights_path(names[n]), &set, &err)))
            continue;
        iq_weights *wide_set = widened(set);
        CHECK_OK(iq_model_from_weights(env, set, NULL, &half_model, &err));
        CHECK_OK(iq_model_from_weights(env, wide_set, NULL, &wide_model, &err));
        if (half_model != NULL && wide_model != NULL) {
            float *images = few_images(half_model);
            answer_few(half_model, images, 1, 2, &best, 1, half);
            answer_few(wide_model, images, 1, 2, &best, 1, wide);
            CHECK_EQ_MEM(wide, half, sizeof wide);
            CHECK(strcmp(imgq_model_hash(half_model), imgq_model_hash(wide_model)) != 0);
            free(images);
        }
        imgq_model_close(half_model);
        imgq_model_close(wide_model);
        iq_weights_destroy(wide_set);
        iq_weights_destroy(set);
    }
}

/* torchvision's name as Hugging Face spells it. */
static void as_hugging_face(const char *name, char *out, size_t size)
{
    unsigned stage, block, index;
    char rest[64];
    if (sscanf(name, "layer%u.%u.conv%u.%63s", &stage, &block, &index, rest) == 4)
        snprintf(out, size, "resnet.encoder.stages.%u.layers.%u.layer.%u.convolution.%s", stage - 1, block, index - 1,
                 rest);
    else if (sscanf(name, "layer%u.%u.bn%u.%63s", &stage, &block, &index, rest) == 4)
        snprintf(out, size, "resnet.encoder.stages.%u.layers.%u.layer.%u.normalization.%s", stage - 1, block, index - 1,
                 rest);
    else if (sscanf(name, "layer%u.%u.downsample.%u.%63s", &stage, &block, &index, rest) == 4)
        snprintf(out, size, "resnet.encoder.stages.%u.layers.%u.shortcut.%s.%s", stage - 1, block,
                 index == 0 ? "convolution" : "normalization", rest);
    else if (sscanf(name, "conv1.%63s", rest) == 1)
        snprintf(out, size, "resnet.embedder.embedder.convolution.%s", rest);
    else if (sscanf(name, "bn1.%63s", rest) == 1)
        snprintf(out, size, "resnet.embedder.embedder.normalization.%s", rest);
    else if (sscanf(name, "fc.%63s", rest) == 1)
        snprintf(out, size, "classifier.1.%s", rest);
}

static void hugging_faces_names_lead_to_the_same_network(void)
{
    if (!ready())
        return;
    static float torch[CLASSES], hugging_face[CLASSES];
    imgq_error err = {0};
    iq_weights *set = NULL, *renamed = NULL;
    imgq_model *torch_model = NULL, *hf_model = NULL;
    imgq_model_options options = IMGQ_MODEL_OPTIONS_INIT;
    options.profile = "torchvision";
    CHECK_OK(iq_weights_open_safetensors(env, weights_path("resnet50.safetensors"), &set, &err));
    CHECK_OK(iq_weights_create(env, IQ_SOURCE_SAFETENSORS, "renamed.safetensors", &renamed, &err));
    for (size_t i = 0; i < set->count; i++) {
        char name[200] = "";
        const iq_tensor_view *view = &set->tensors[i];
        as_hugging_face(view->name, name, sizeof name);
        CHECK_OK(iq_weights_add(renamed, name, view->dtype, view->shape, view->rank, view->data, view->bytes, &err));
    }
    CHECK_OK(iq_model_from_weights(env, set, &options, &torch_model, &err));
    CHECK_OK(iq_model_from_weights(env, renamed, &options, &hf_model, &err));
    if (torch_model != NULL && hf_model != NULL) {
        float *images = few_images(torch_model);
        answer_few(torch_model, images, 1, 2, &best, 1, torch);
        answer_few(hf_model, images, 1, 2, &best, 1, hugging_face);
        CHECK_EQ_MEM(torch, hugging_face, sizeof torch);
        free(images);
    }
    imgq_model_close(torch_model);
    imgq_model_close(hf_model);
    iq_weights_destroy(renamed);
    iq_weights_destroy(set);
}

static void the_castle_is_answered_as_by_the_reference(void)
{
    if (!ready())
        return;
    static const char *const want[TOP] = {"church: 0.4136", "castle: 0.3930", "monastery: 0.1733", "palace: 0.0041",
                                          "vault: 0.0034"};
    imgq_error err = {0};
    imgq_prediction top[TOP];
    iq_buf file = {0};
    imgq_model *model = open_model("resnet50.safetensors", IMGQ_LAYOUT_V1, "keras");
    imgq_session *session = open_session(model, 1, 1, &best);
    if (session != NULL && read_image("castle_image.jpg", &file) &&
        CHECK_OK(imgq_session_classify(session, file.data, file.len, top, TOP, &err))) {
        for (size_t i = 0; i < TOP; i++) {
            char line[64];
            snprintf(line, sizeof line, "%s: %.4f", imgq_model_label(model, top[i].class_id),
                     (double)top[i].probability);
            CHECK_EQ_STR(want[i], line);
        }
    }
    iq_buf_release(env, &file);
    imgq_session_destroy(session);
    imgq_model_close(model);
}

/* Half a file, as an interrupted download leaves it, and a page of HTML under the model's name. */
static void a_truncated_download_says_so(void)
{
    if (!ready())
        return;
    imgq_error err = {0};
    iq_buf file = {0};
    imgq_model *model = NULL;
    char path[300];
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/imgq-oracle-XXXXXX", tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
    const int fd = mkstemp(path);
    CHECK_OK(iq_buf_read_file(env, &file, weights_path("resnet50.safetensors"), 200 << 20, &err));
    const size_t half = file.len / 2;
    CHECK(fd >= 0 && write(fd, file.data, half) == (ssize_t)half);
    CHECK_STATUS(IMGQ_E_CORRUPT, imgq_model_open(env, path, NULL, &model, &err));
    CHECK_CONTAINS(": the file is truncated", err.message);
    CHECK(fd >= 0 && ftruncate(fd, 1000) == 0);
    CHECK_STATUS(IMGQ_E_CORRUPT, imgq_model_open(env, path, NULL, &model, &err));
    CHECK_CONTAINS(" ends behind the file's 1000: the file is truncated", err.message);
    if (fd >= 0)
        close(fd);
    unlink(path);
    iq_buf_release(env, &file);
}

static const check_test tests[] = {
    CHECK_TEST(as_v15_the_logits_are_the_oracles),
    CHECK_TEST(as_v1_every_image_is_answered_as_by_the_oracle),
    CHECK_TEST(medium_names_the_oracles_first_class),
    CHECK_TEST(high_is_the_oracles_answer),
    CHECK_TEST(batches_threads_and_neighbours_change_nothing),
    CHECK_TEST(plain_loops_and_matrix_products_agree),
    CHECK_TEST(half_weights_answer_as_the_same_numbers_widened),
    CHECK_TEST(hugging_faces_names_lead_to_the_same_network),
    CHECK_TEST(the_castle_is_answered_as_by_the_reference),
    CHECK_TEST(a_truncated_download_says_so),
};

int main(int argc, char **argv)
{
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    const int code = check_main(argc, argv, "oracle", tests, sizeof tests / sizeof *tests);
    imgq_env_destroy(env);
    return code;
}
