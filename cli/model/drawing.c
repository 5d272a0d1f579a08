/* Colour, scale, angle, place, light and noise vary from picture to picture; what a class has in common is only what
 * its name says. */
#include "cli/model/drawing.h"

#include <math.h>
#include <stdbool.h>

enum { COLOURS = 4, TEXTURES = 3 };
_Static_assert(COLOURS *TEXTURES == DRAWING_CLASSES, "a label for each class");

static const char *const labels[DRAWING_CLASSES] = {
    "red_stripes",  "red_checks",  "red_dots",  "green_stripes",  "green_checks",  "green_dots",
    "blue_stripes", "blue_checks", "blue_dots", "yellow_stripes", "yellow_checks", "yellow_dots",
};

static const double hues[COLOURS] = {0, 120, 225, 52}; /* degrees */

/* splitmix64 (Steele, Lea and Flood): one word of state, good enough to draw with. */
uint64_t demo_random_bits(demo_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double demo_random_between(demo_random *random, double low, double high)
{
    return low + (high - low) * (double)(demo_random_bits(random) >> 11) * 0x1p-53;
}

double demo_random_normal(demo_random *random)
{
    double radius = sqrt(-2 * log(1 - demo_random_between(random, 0, 1)));
    return radius * cos(2 * M_PI * demo_random_between(random, 0, 1));
}

const char *drawing_label(unsigned class_id)
{
    return labels[class_id];
}

/* hue in degrees, the others 0..1 */
static void colour_of(double hue, double saturation, double value, double rgb[3])
{
    for (int c = 0; c < 3; c++) {
        double k = fmod(5 - 2 * c + hue / 60 + 6, 6);
        double step = fmax(0, fmin(1, fmin(k, 4 - k)));
        rgb[c] = 255 * value * (1 - saturation * step);
    }
}

typedef struct sketch {
    int texture;
    double front[3], back[3];
    double cosine, sine, scale, phase_u, phase_v, radius;
    double light_x, light_y, noise;
} sketch;

static sketch plan(demo_random *random, unsigned class_id)
{
    sketch s = {.texture = (int)(class_id % TEXTURES)};
    double angle = demo_random_between(random, -0.4, 0.4);
    bool dark = demo_random_bits(random) % 2 == 0;
    colour_of(hues[class_id / TEXTURES] + demo_random_between(random, -14, 14), demo_random_between(random, 0.75, 1),
              demo_random_between(random, 0.7, 1), s.front);
    double grey = dark ? demo_random_between(random, 0.03, 0.25) : demo_random_between(random, 0.75, 1);
    colour_of(demo_random_between(random, 0, 360), demo_random_between(random, 0, 0.08), grey, s.back);
    s.cosine = cos(angle);
    s.sine = sin(angle);
    s.scale = demo_random_between(random, 10, 24);
    s.phase_u = demo_random_between(random, 0, 1);
    s.phase_v = demo_random_between(random, 0, 1);
    s.radius = demo_random_between(random, 0.27, 0.40);
    s.light_x = demo_random_between(random, -0.25, 0.25);
    s.light_y = demo_random_between(random, -0.25, 0.25);
    s.noise = demo_random_between(random, 0, 10);
    return s;
}

/* How much of the texture's colour covers a point, 0 or 1; u and v count the texture's cells. */
static double cover(const sketch *s, double u, double v)
{
    double fu = u - floor(u), fv = v - floor(v);
    switch (s->texture) {
    case 0: /* stripes */
        return fu < 0.5;
    case 1: /* checks */
        return (fu < 0.5) == (fv < 0.5);
    default: /* dots */
        return (fu - 0.5) * (fu - 0.5) + (fv - 0.5) * (fv - 0.5) < s->radius * s->radius;
    }
}

/* The mean over four points inside the pixel, so that edges are as soft as a camera's. */
static double cover_of_pixel(const sketch *s, int x, int y)
{
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        double px = x + 0.25 + 0.5 * (i % 2), py = y + 0.25 + 0.5 * (i / 2);
        sum += cover(s, (px * s->cosine + py * s->sine) / s->scale + s->phase_u,
                     (py * s->cosine - px * s->sine) / s->scale + s->phase_v);
    }
    return sum / 4;
}

void drawing_draw(uint64_t seed, unsigned class_id, uint8_t *rgb)
{
    demo_random random = {seed};
    (void)demo_random_bits(&random); /* neighbouring seeds part here */
    random.state ^= demo_random_bits(&random) << 1;
    const sketch s = plan(&random, class_id);
    for (int y = 0; y < DRAWING_SIDE; y++)
        for (int x = 0; x < DRAWING_SIDE; x++) {
            double amount = cover_of_pixel(&s, x, y);
            double light = 1 + s.light_x * (x - 112) / 112.0 + s.light_y * (y - 112) / 112.0;
            for (int c = 0; c < 3; c++) {
                double value = (amount * s.front[c] + (1 - amount) * s.back[c]) * light;
                value += s.noise * demo_random_normal(&random);
                *rgb++ = (uint8_t)fmax(0, fmin(255, floor(value + 0.5)));
            }
        }
}
