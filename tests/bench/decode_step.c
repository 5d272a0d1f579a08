/* imgq's decoder and resizer, and bare libjpeg-turbo, one sample for each line on stdin: "KIND INDEX SECONDS", KIND
 * being both, fast, resize or jpeg, INDEX one of the files given as arguments; answers {"best_ms","mean_ms"}. "write
 * INDEX PATH" writes the resized bytes. Built and driven by tests/bench/decode. */
#include <imgq/image.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jpeglib.h> /* wants stdio.h before it */

enum { SIDE = 224, BYTES = SIDE * SIDE * 3 };

typedef struct bytes {
    uint8_t *data;
    size_t len;
    imgq_image *decoded; /* for resize alone */
} bytes;

static imgq_env *env;
static uint8_t resized[BYTES];

static double now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static bytes read_bytes(const char *path)
{
    FILE *file = fopen(path, "rb");
    bytes b = {0};
    imgq_error err;
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        die(path, "cannot be read");
    b.len = (size_t)ftell(file);
    b.data = malloc(b.len);
    rewind(file);
    if (b.data == NULL || fread(b.data, 1, b.len, file) != b.len)
        die(path, "cannot be read");
    fclose(file);
    if (imgq_image_decode(env, b.data, b.len, NULL, &b.decoded, &err) != IMGQ_OK)
        die(path, err.message);
    return b;
}

static void resize(const imgq_image *image)
{
    imgq_error err;
    if (imgq_image_resize(image, SIDE, SIDE, IMGQ_FILTER_BICUBIC, resized, sizeof resized, &err) != IMGQ_OK)
        die("resize", err.message);
}

static imgq_recipe recipe;

static void both(const bytes *b, bool fast)
{
    imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
    imgq_error err;
    options.fast = fast;
    if (imgq_encoded_resample(env, b->data, b->len, &options, &recipe, resized, sizeof resized, NULL, &err) != IMGQ_OK)
        die("decode", err.message);
}

/* What nobody who wants libjpeg-turbo's bytes can go below. */
static void bare_jpeg(const bytes *b)
{
    struct jpeg_decompress_struct in;
    struct jpeg_error_mgr errors;
    in.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&in);
    jpeg_mem_src(&in, b->data, b->len);
    jpeg_read_header(&in, TRUE);
    in.out_color_space = JCS_RGB;
    jpeg_start_decompress(&in);
    const size_t line = (size_t)in.output_width * 3;
    uint8_t *pixels = malloc(line * in.output_height);
    if (pixels == NULL)
        die("libjpeg", "memory ran out");
    while (in.output_scanline < in.output_height) {
        JSAMPROW row = pixels + in.output_scanline * line;
        jpeg_read_scanlines(&in, &row, 1);
    }
    jpeg_finish_decompress(&in);
    jpeg_destroy_decompress(&in);
    free(pixels);
}

static void sample(const char *kind, const bytes *b, double seconds)
{
    const double started = now_ms();
    double ended = started, best = 0;
    size_t runs = 0;
    do {
        const double before = ended;
        if (strcmp(kind, "both") == 0)
            both(b, false);
        else if (strcmp(kind, "fast") == 0)
            both(b, true);
        else if (strcmp(kind, "resize") == 0)
            resize(b->decoded);
        else if (strcmp(kind, "jpeg") == 0)
            bare_jpeg(b);
        else
            die(kind, "not both, fast, resize or jpeg");
        ended = now_ms();
        best = runs == 0 || ended - before < best ? ended - before : best;
        runs++;
    } while (ended - started < seconds * 1e3);
    printf("{\"best_ms\":%.5f,\"mean_ms\":%.5f}\n", best, (ended - started) / (double)runs);
}

static void write_resized(const bytes *b, const char *path)
{
    FILE *file = fopen(path, "wb");
    both(b, false);
    if (file == NULL || fwrite(resized, 1, sizeof resized, file) != sizeof resized || fclose(file) != 0)
        die(path, "cannot be written");
    printf("{\"written\":true}\n");
}

int main(int argc, char **argv)
{
    char line[1024], kind[16], rest[900];
    unsigned index;
    bytes *files = calloc((size_t)argc, sizeof *files);
    imgq_error err;
    if (files == NULL || imgq_env_create(NULL, &env, &err) != IMGQ_OK ||
        imgq_recipe_find("keras", &recipe, &err) != IMGQ_OK)
        return 1;
    for (int i = 1; i < argc; i++)
        files[i - 1] = read_bytes(argv[i]);
    printf("{\"ready\":true}\n");
    while (fflush(stdout) == 0 && fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "%15s %u %899s", kind, &index, rest) != 3 || index + 1 >= (unsigned)argc)
            die(line, "not KIND INDEX SECONDS");
        if (strcmp(kind, "write") == 0)
            write_resized(&files[index], rest);
        else
            sample(kind, &files[index], atof(rest));
    }
    for (int i = 1; i < argc; i++) {
        imgq_image_destroy(files[i - 1].decoded);
        free(files[i - 1].data);
    }
    free(files);
    imgq_env_destroy(env);
    return 0;
}
