/* Answers pillow_compare.py over a pipe: one request in, one answer out, until the end of its input. Numbers are
 * 32 bits in this machine's order; a request is a letter, its numbers and its bytes. */
#include <imgq/image.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void take(void *out, size_t len)
{
    if (fread(out, 1, len, stdin) != len) {
        fprintf(stderr, "pillow_peer: request cut short\n");
        exit(EXIT_FAILURE);
    }
}

static void give(const void *bytes, size_t len)
{
    if (fwrite(bytes, 1, len, stdout) != len)
        exit(EXIT_FAILURE);
}

static void *buffer(size_t len)
{
    void *bytes = malloc(len > 0 ? len : 1);
    if (bytes == NULL)
        exit(EXIT_FAILURE);
    return bytes;
}

/* status, length, bytes: the result, or the error's message */
static void answer(imgq_status status, const imgq_error *err, const void *bytes, size_t len)
{
    if (status != IMGQ_OK) {
        bytes = err->message;
        len = strlen(err->message);
    }
    give(&(int32_t){status}, 4);
    give(&(uint32_t){(uint32_t)len}, 4);
    give(bytes, len);
}

static imgq_image *take_image(imgq_env *env)
{
    uint32_t size[2];
    imgq_image *image;
    imgq_error err;
    take(size, sizeof size);
    const size_t len = (size_t)size[0] * size[1] * 3;
    uint8_t *rgb = buffer(len);
    take(rgb, len);
    if (imgq_image_create(env, size[0], size[1], rgb, &image, &err) != IMGQ_OK) {
        fprintf(stderr, "pillow_peer: %s\n", err.message);
        exit(EXIT_FAILURE);
    }
    free(rgb);
    return image;
}

static void resize(imgq_env *env)
{
    uint32_t wish[3]; /* width, height, filter */
    imgq_error err;
    take(wish, sizeof wish);
    imgq_image *image = take_image(env);
    const size_t len = (size_t)wish[0] * wish[1] * 3;
    uint8_t *rgb = buffer(len);
    answer(imgq_image_resize(image, wish[0], wish[1], wish[2], rgb, len, &err), &err, rgb, len);
    free(rgb);
    imgq_image_destroy(image);
}

static imgq_recipe take_recipe(void)
{
    char profile[32];
    imgq_recipe recipe;
    imgq_error err;
    take(profile, sizeof profile);
    if (imgq_recipe_find(profile, &recipe, &err) != IMGQ_OK) {
        fprintf(stderr, "pillow_peer: %s\n", err.message);
        exit(EXIT_FAILURE);
    }
    return recipe;
}

static void resample(imgq_env *env)
{
    const imgq_recipe recipe = take_recipe();
    imgq_image *image = take_image(env);
    imgq_error err;
    const size_t len = (size_t)recipe.crop_width * recipe.crop_height * 3;
    uint8_t *rgb = buffer(len);
    answer(imgq_image_resample(image, &recipe, rgb, len, &err), &err, rgb, len);
    free(rgb);
    imgq_image_destroy(image);
}

static void preprocess(imgq_env *env)
{
    const imgq_recipe recipe = take_recipe();
    imgq_image *image = take_image(env);
    imgq_error err;
    const size_t count = (size_t)recipe.crop_width * recipe.crop_height * 3;
    float *nhwc = buffer(count * sizeof *nhwc);
    answer(imgq_image_preprocess(image, &recipe, nhwc, count, &err), &err, nhwc, count * sizeof *nhwc);
    free(nhwc);
    imgq_image_destroy(image);
}

/* The answer's bytes begin with width, height, orientation and applied. */
static void decode(imgq_env *env)
{
    uint32_t wish[6]; /* length, apply orientation, use background, R, G, B */
    uint32_t head[4] = {0};
    imgq_image *image;
    imgq_error err;
    take(wish, sizeof wish);
    uint8_t *bytes = buffer(wish[0]);
    take(bytes, wish[0]);
    imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
    options.apply_orientation = wish[1];
    options.use_background = wish[2];
    for (size_t c = 0; c < 3; c++)
        options.background[c] = (uint8_t)wish[3 + c];
    const imgq_status status = imgq_image_decode(env, bytes, wish[0], &options, &image, &err);
    if (status != IMGQ_OK) {
        answer(status, &err, NULL, 0);
    } else {
        imgq_image_get_size(image, &head[0], &head[1]);
        head[2] = imgq_image_orientation(image, &head[3]);
        const size_t len = (size_t)head[0] * head[1] * 3;
        give(&(int32_t){IMGQ_OK}, 4);
        give(&(uint32_t){(uint32_t)(len + sizeof head)}, 4);
        give(head, sizeof head);
        give(imgq_image_pixels(image), len);
    }
    imgq_image_destroy(image);
    free(bytes);
}

/* A file's bytes to a profile's crop, its rows never making a whole picture. */
static void encoded(imgq_env *env)
{
    uint32_t wish[2]; /* length, apply orientation */
    imgq_error err;
    const imgq_recipe recipe = take_recipe();
    take(wish, sizeof wish);
    uint8_t *bytes = buffer(wish[0]);
    take(bytes, wish[0]);
    imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
    options.apply_orientation = wish[1];
    const size_t len = (size_t)recipe.crop_width * recipe.crop_height * 3;
    uint8_t *rgb = buffer(len);
    answer(imgq_encoded_resample(env, bytes, wish[0], &options, &recipe, rgb, len, NULL, &err), &err, rgb, len);
    free(rgb);
    free(bytes);
}

int main(void)
{
    imgq_env *env;
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return EXIT_FAILURE;
    for (int what; (what = getchar()) != EOF;) {
        switch (what) {
        case 'R':
            resize(env);
            break;
        case 'C':
            resample(env);
            break;
        case 'P':
            preprocess(env);
            break;
        case 'D':
            decode(env);
            break;
        case 'E':
            encoded(env);
            break;
        default:
            fprintf(stderr, "pillow_peer: unknown request %d\n", what);
            return EXIT_FAILURE;
        }
        if (fflush(stdout) != 0)
            return EXIT_FAILURE;
    }
    imgq_env_destroy(env);
    return EXIT_SUCCESS;
}
