/* Labels from files, and how many there must be. */
#include "fake_set.h"
#include "model_tests.h"

#include "model/labels.h"

#include "support/check.h"
#include "support/shared.h"

#include <stdio.h>
#include <string.h>

typedef struct label_case {
    const char *text;
    size_t count;      /* 0: refused */
    const char *wants; /* labels joined by '|', or the end of the message */
} label_case;

static const label_case cases[] = {
    {"cat\ndog\n", 2, "cat|dog"},
    {"cat\r\ndog", 2, "cat|dog"},
    {"\xEF\xBB\xBFKatze\nHund\nB\xC3\xA4r\n\n\n", 3, "Katze|Hund|B\xC3\xA4r"},
    {" spaces stay ", 1, " spaces stay "},
    {"{\"0\":[\"n01\",\"tench\"],\"1\":[\"n02\",\"goldfish\"]}", 2, "tench|goldfish"},
    {"{\"1\":\"goldfish\",\"0\":\"tench, Tinca tinca\"}", 2, "tench, Tinca tinca|goldfish"},
    {"{\"model_type\":\"resnet\",\"id2label\":{\"0\":\"a\",\"1\":\"b\"}}", 2, "a|b"},
    {"[\"a\",\"b\",\"c\"]", 3, "a|b|c"},
    {"", 0, ": 0 lines"},
    {"\n\n", 0, ": 0 lines"},
    {"cat\n\ndog", 0, ": line 2 is empty"},
    {"cat\nd\tog", 0, ": line 2 has control characters"},
    {"{\"0\":\"a\",\"2\":\"b\"}", 0, ": '2' is no class of 0 to 1"},
    {"{\"0\":\"a\",\"00\":\"b\"}", 0, ": class 0 is there twice"},
    {"{\"0\":\"a\",\"b\":\"b\"}", 0, ": 'b' is no class of 0 to 1"},
    {"{\"0\":\"a\",\"1\":7}", 0, ": class 1 has no text"},
    {"{\"0\":\"a\",\"1\":[\"n\"]}", 0, ": class 1 has no text"},
    {"{\"0\":\"a\",\"1\":\"\"}", 0, ": class 1 is empty"},
    {"[\"a\",\"b\\u0001\"]", 0, ": class 1 has control characters"},
    {"{}", 0, ": neither a list nor an object of classes"},
    {"{\"0\":", 0, ": no JSON at byte 4"},
};

static void check_case(const label_case *c, bool refused)
{
    imgq_error err = {0};
    iq_arena arena = {.env = test_env()};
    iq_labels labels = {0};
    const char *path = fake_path("labels", c->text, strlen(c->text));
    imgq_status status = iq_labels_read(path, &arena, &labels, &err);
    if (refused) {
        CHECK_STATUS(IMGQ_E_CORRUPT, status);
        CHECK_CONTAINS("read labels from ", err.message);
        CHECK_CONTAINS(c->wants, err.message);
    } else if (CHECK_STATUS(IMGQ_OK, status) && CHECK_EQ_SIZE(c->count, labels.count)) {
        char joined[200] = "";
        for (size_t i = 0; i < labels.count; i++) {
            strcat(joined, i == 0 ? "" : "|");
            strcat(joined, labels.texts[i]);
        }
        CHECK_EQ_STR(c->wants, joined);
    }
    iq_arena_release(&arena);
}

void labels_come_from_text_and_json(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (cases[i].count > 0)
            check_case(&cases[i], false);
    fake_clean();
}

void wrong_labels_are_named(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (cases[i].count == 0)
            check_case(&cases[i], true);
    imgq_error err = {0};
    iq_arena arena = {.env = test_env()};
    iq_labels labels = {0};
    CHECK_STATUS(IMGQ_E_NOTFOUND, iq_labels_read("/nowhere/labels.txt", &arena, &labels, &err));
    CHECK_CONTAINS("/nowhere/labels.txt", err.message);
    iq_arena_release(&arena);
    fake_clean();
}

void labels_must_fit_the_head(void)
{
    imgq_error err = {0};
    imgq_model *model = NULL;
    imgq_model_options options = IMGQ_MODEL_OPTIONS_INIT;
    iq_weights *set = fake_set(test_env(), FAKE_TORCH, 3, NULL);
    CHECK_STATUS(IMGQ_E_INVALID, iq_model_from_weights(test_env(), set, NULL, &model, &err));
    CHECK_EQ_STR("read model folder/fake.safetensors: 3 classes without labels, and ImageNet's are 1000: name a "
                 "labels file",
                 err.message);
    options.labels_path = fake_path("two.txt", "a\nb\n", 4);
    CHECK_STATUS(IMGQ_E_INVALID, iq_model_from_weights(test_env(), set, &options, &model, &err));
    CHECK_CONTAINS("two.txt: 2 labels, the model has 3 classes", err.message);
    const char *own[] = {"x", "y", "z"};
    set->labels = own;
    set->labels_count = 2;
    CHECK_STATUS(IMGQ_E_CORRUPT, iq_model_from_weights(test_env(), set, NULL, &model, &err));
    CHECK_EQ_STR("read model folder/fake.safetensors: it brings 2 labels for 3 classes", err.message);
    set->labels_count = 3;
    if (CHECK_OK(iq_model_from_weights(test_env(), set, NULL, &model, &err))) {
        CHECK_EQ_STR("z", imgq_model_label(model, 2));
        CHECK(imgq_model_label(model, 3) == NULL);
        CHECK_EQ_SIZE(3, imgq_model_class_count(model));
        imgq_model_close(model);
    }
    options.labels_path = fake_path("three.txt", "eins\nzwei\ndrei\n", 15);
    if (CHECK_OK(iq_model_from_weights(test_env(), set, &options, &model, &err))) {
        CHECK_EQ_STR("drei", imgq_model_label(model, 2));
        imgq_model_close(model);
    }
    iq_weights_destroy(set);
    fake_clean();
}

void imagenets_labels_are_keras_own(void)
{
    CHECK_EQ_STR("tench", iq_imagenet_labels[0]);
    CHECK_EQ_STR("church", iq_imagenet_labels[497]);
    CHECK_EQ_STR("toilet_tissue", iq_imagenet_labels[999]);
    if (!shared_is_there())
        return;
    imgq_error err;
    iq_arena arena = {.env = test_env()};
    iq_labels labels = {0};
    if (CHECK_OK(iq_labels_read(shared_path("models/imagenet_class_index.json"), &arena, &labels, &err)) &&
        CHECK_EQ_SIZE(IQ_IMAGENET_CLASSES, labels.count))
        for (size_t i = 0; i < labels.count; i++)
            CHECK_EQ_STR(labels.texts[i], iq_imagenet_labels[i]);
    iq_arena_release(&arena);
}
