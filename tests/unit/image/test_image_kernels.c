/* Every resampling kernel against the plain loops on random shapes, its memory ending at pages that trap; and whole
 * resizes through each instruction set. IMGQ_SEED=n repeats a run. */
#include "base/alloc.h"
#include "image/resize.h"
#include "support/check.h"
#include "support/random.h"

#include <imgq/image.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ROUNDS = 3000, MAX_SIDE = 700 };

static test_random choices;

static uint32_t below(uint32_t n)
{
    return random_below(&choices, n);
}

/* Noise, black and white, flat: white beside negative weights finds wrong clipping. */
static void draw(uint8_t *bytes, size_t count)
{
    const uint32_t kind = below(4);
    const uint8_t flat = (uint8_t)below(256);
    for (size_t i = 0; i < count; i++)
        bytes[i] = kind == 0 ? flat : kind == 1 ? (uint8_t)(below(2) * 255) : (uint8_t)below(256);
}

/* Bytes with a page that traps right before or right behind them. */
typedef struct guarded {
    uint8_t *map, *bytes;
    size_t mapped;
} guarded;

static bool guarded_take(guarded *g, size_t count, bool at_end)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (count + page - 1) / page * page;
    g->mapped = room + 2 * page;
    g->map = mmap(NULL, g->mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!CHECK(g->map != MAP_FAILED) || !CHECK_EQ_INT(0, mprotect(g->map + page, room, PROT_READ | PROT_WRITE)))
        return false;
    g->bytes = g->map + page + (at_end ? room - count : 0);
    return true;
}

static void guarded_give(guarded *g)
{
    CHECK_EQ_INT(0, munmap(g->map, g->mapped));
}

static uint32_t random_side(void)
{
    return below(3) == 0 ? 1 + below(20) : 1 + below(MAX_SIDE);
}

static uint32_t random_filter(void)
{
    return below(2) == 0 ? IMGQ_FILTER_BILINEAR : IMGQ_FILTER_BICUBIC;
}

static bool same(const uint8_t *want, const uint8_t *got, size_t count, const char *isa, const char *what)
{
    if (memcmp(want, got, count) == 0)
        return true;
    printf("%s, %s\n", isa, what);
    return CHECK_EQ_MEM(want, got, count);
}

/* One call of a column kernel; every input row and every output row has memory of its own. */
static bool columns_agree(const iq_resample_kernels *kernels, const iq_taps *t, const iq_tap_groups *groups,
                          uint32_t in_size)
{
    guarded in[IQ_ROWS_AT_ONCE], out[IQ_ROWS_AT_ONCE];
    const uint8_t *from[IQ_ROWS_AT_ONCE];
    uint8_t *to[IQ_ROWS_AT_ONCE], *plain[IQ_ROWS_AT_ONCE];
    const uint32_t count = 1 + below(IQ_ROWS_AT_ONCE);
    const size_t bytes = (size_t)t->count * 3;
    bool ok = true;
    for (uint32_t row = 0; row < count; row++) {
        if (!guarded_take(&in[row], (size_t)in_size * 3, below(4) != 0) ||
            !guarded_take(&out[row], bytes, below(4) != 0))
            return false;
        draw(in[row].bytes, (size_t)in_size * 3);
        from[row] = in[row].bytes;
        to[row] = out[row].bytes;
        plain[row] = malloc(bytes);
        if (!CHECK(plain[row] != NULL))
            return false;
    }
    iq_columns_plain(plain, from, count, t, NULL);
    kernels->columns(to, from, count, t, groups);
    for (uint32_t row = 0; row < count; row++) {
        char what[96];
        snprintf(what, sizeof what, "columns: %" PRIu32 " to %" PRIu32 ", row %" PRIu32 " of %" PRIu32, in_size,
                 t->count, row, count);
        ok = same(plain[row], to[row], bytes, kernels->isa, what) && ok;
        guarded_give(&in[row]);
        guarded_give(&out[row]);
        free(plain[row]);
    }
    return ok;
}

static void column_kernels_agree_with_the_plain_loop(void)
{
    imgq_env *env;
    imgq_error err;
    uint32_t packed = 0;
    bool ok = true;
    choices = random_seeded(__func__);
    if (!CHECK_OK(imgq_env_create(NULL, &env, &err)))
        return;
    for (uint32_t round = 0; ok && round < ROUNDS; round++) {
        const uint32_t in_size = random_side(), out_size = random_side(), from = below(out_size);
        iq_taps t;
        if (!CHECK_OK(
                iq_taps_create(env, in_size, out_size, from, 1 + below(out_size - from), random_filter(), &t, &err)))
            break;
        const iq_resample_kernels *kernels;
        for (size_t i = 1; ok && (kernels = iq_resample_kernels_at(i)) != NULL; i++) {
            iq_tap_groups groups;
            ok = CHECK_OK(iq_tap_groups_create(env, &t, in_size, IQ_LEAST_GROUPS, kernels->packing, &groups, &err));
            if (ok && groups.count > 0) {
                ok = columns_agree(kernels, &t, &groups, in_size);
                packed++;
            }
            iq_tap_groups_release(env, &groups);
        }
        iq_taps_release(env, &t);
    }
    printf("%" PRIu32 " packed shapes\n", packed);
    CHECK(packed > ROUNDS / 4 * 3 || iq_resample_kernels_at(1) == NULL);
    imgq_env_destroy(env);
}

static void row_kernels_agree_with_the_plain_loop(void)
{
    enum { MAX_ROWS = 40 };
    imgq_error err;
    imgq_env *env;
    bool ok = true;
    choices = random_seeded(__func__);
    if (!CHECK_OK(imgq_env_create(NULL, &env, &err)))
        return;
    for (uint32_t round = 0; ok && round < ROUNDS; round++) {
        const size_t bytes = below(2) == 0 ? 1 + below(130) : 1 + below(3000);
        const uint32_t in_size = 1 + below(MAX_ROWS), out_size = 1 + below(MAX_ROWS);
        guarded in[MAX_ROWS], out;
        const uint8_t *rows[MAX_ROWS];
        iq_taps t;
        uint8_t *plain = malloc(bytes);
        if (!CHECK(plain != NULL) || !guarded_take(&out, bytes, below(4) != 0) ||
            !CHECK_OK(iq_taps_create(env, in_size, out_size, below(out_size), 1, random_filter(), &t, &err)))
            break;
        for (uint32_t y = 0; ok && y < t.length[0]; y++) {
            ok = guarded_take(&in[y], bytes, below(4) != 0);
            draw(in[y].bytes, ok ? bytes : 0);
            rows[y] = in[y].bytes;
        }
        if (!ok)
            break;
        iq_rows_plain(plain, rows, t.weights, t.length[0], bytes);
        const iq_resample_kernels *kernels;
        for (size_t i = 1; ok && (kernels = iq_resample_kernels_at(i)) != NULL; i++) {
            char what[64];
            snprintf(what, sizeof what, "rows: %" PRIu32 " of %zu bytes", t.length[0], bytes);
            kernels->rows(out.bytes, rows, t.weights, t.length[0], bytes);
            ok = same(plain, out.bytes, bytes, kernels->isa, what);
        }
        for (uint32_t y = 0; y < t.length[0]; y++)
            guarded_give(&in[y]);
        guarded_give(&out);
        free(plain);
        iq_taps_release(env, &t);
    }
    imgq_env_destroy(env);
}

/* Whole pictures and windows of them, the pixels' last byte before a page that traps. */
static void every_instruction_set_resizes_to_the_same_bytes(void)
{
    imgq_error err;
    imgq_env *env;
    bool ok = true;
    choices = random_seeded(__func__);
    if (!CHECK_OK(imgq_env_create(NULL, &env, &err)))
        return;
    for (uint32_t round = 0; ok && round < ROUNDS / 10; round++) {
        imgq_image image = {.env = env, .width = random_side(), .height = random_side()};
        const uint32_t width = below(12) == 0 ? image.width : random_side();
        const uint32_t height = below(12) == 0 ? image.height : random_side(), filter = random_filter();
        iq_window window = {.left = below(width), .top = below(height)};
        window.width = 1 + below(width - window.left);
        window.height = 1 + below(height - window.top);
        const size_t in_bytes = (size_t)image.width * image.height * 3;
        const size_t out_bytes = (size_t)window.width * window.height * 3;
        guarded in, out;
        uint8_t *plain = malloc(out_bytes);
        if (!CHECK(plain != NULL) || !guarded_take(&in, in_bytes, below(4) != 0) ||
            !guarded_take(&out, out_bytes, below(4) != 0))
            break;
        draw(in.bytes, in_bytes);
        image.pixels = in.bytes;
        ok = CHECK_OK(
            iq_resize_window_with(iq_resample_kernels_at(0), &image, width, height, filter, &window, plain, &err));
        const iq_resample_kernels *kernels;
        for (size_t i = 1; ok && (kernels = iq_resample_kernels_at(i)) != NULL; i++) {
            char what[96];
            snprintf(what, sizeof what, "%" PRIu32 " x %" PRIu32 " to %" PRIu32 " x %" PRIu32, image.width,
                     image.height, width, height);
            ok = CHECK_OK(iq_resize_window_with(kernels, &image, width, height, filter, &window, out.bytes, &err));
            ok = ok && same(plain, out.bytes, out_bytes, kernels->isa, what);
        }
        guarded_give(&in);
        guarded_give(&out);
        free(plain);
    }
    imgq_env_destroy(env);
}

/* CPUID asked here, by name: the fastest set is one that may run, and the one that is taken by default. */
static void the_best_set_is_what_the_processor_has(void)
{
    size_t count = 0;
    while (iq_resample_kernels_at(count) != NULL)
        count++;
    CHECK_EQ_STR("plain", iq_resample_kernels_at(0)->isa);
    CHECK(iq_resample_kernels_best() == iq_resample_kernels_at(count - 1));
#if defined(__x86_64__)
    const bool avx2 = __builtin_cpu_supports("avx2");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512vnni");
    CHECK_EQ_SIZE(avx512 ? 3 : avx2 ? 2 : 1, count);
#endif
}

/* Pillow keeps sizes in floats, which hold no more than 24 bits: the last outputs may then lie behind the picture. */
static void taps_stay_inside_pictures_whose_size_no_float_holds(void)
{
    static const struct {
        uint32_t in_size, out_size;
    } cases[] = {{99999997, 100000000}, {16777219, 1 << 24}, {16777219, 16777220}, {99999995, 99999999}};
    static const uint32_t filters[] = {IMGQ_FILTER_NEAREST, IMGQ_FILTER_BILINEAR, IMGQ_FILTER_BICUBIC};
    imgq_env *env = NULL;
    imgq_error err;
    if (!CHECK_OK(imgq_env_create(NULL, &env, &err)))
        return;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t k = i == 0 ? 0 : 1; k < 3; k++) { /* nearest adds up to the last output: one case will do */
            iq_taps t;
            const uint32_t in_size = cases[i].in_size, count = 4;
            if (!CHECK_OK(iq_taps_create(env, in_size, cases[i].out_size, cases[i].out_size - count, count, filters[k],
                                         &t, &err)))
                continue;
            for (uint32_t at = 0; at < count; at++)
                if (!CHECK(t.length[at] >= 1 && t.length[at] <= t.most && t.first[at] < in_size &&
                           t.length[at] <= in_size - t.first[at]))
                    fprintf(stderr, "    %u to %u, filter %u: %u from %u on\n", in_size, cases[i].out_size, filters[k],
                            t.length[at], t.first[at]);
            iq_taps_release(env, &t);
        }
    imgq_env_destroy(env);
}

static const check_test tests[] = {
    CHECK_TEST(column_kernels_agree_with_the_plain_loop),
    CHECK_TEST(row_kernels_agree_with_the_plain_loop),
    CHECK_TEST(every_instruction_set_resizes_to_the_same_bytes),
    CHECK_TEST(taps_stay_inside_pictures_whose_size_no_float_holds),
    CHECK_TEST(the_best_set_is_what_the_processor_has),
};

CHECK_MAIN("image kernels", tests)
