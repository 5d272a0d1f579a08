/* Pictures that the demonstration draws itself: a colour and a texture each, no two alike. */
#ifndef CLI_MODEL_DRAWING_H
#define CLI_MODEL_DRAWING_H

#include <stdint.h>

enum { DRAWING_SIDE = 224, DRAWING_BYTES = DRAWING_SIDE * DRAWING_SIDE * 3, DRAWING_CLASSES = 12 };

/** A stream of random numbers: the same seed, the same numbers on every machine. */
typedef struct demo_random {
    uint64_t state;
} demo_random;

uint64_t demo_random_bits(demo_random *random);
/** low <= x < high */
double demo_random_between(demo_random *random, double low, double high);
/** Mean 0, deviation 1. */
double demo_random_normal(demo_random *random);

/** "red_stripes"; static. */
const char *drawing_label(unsigned class_id);
/** @param seed every one draws another picture of the class @param rgb out, DRAWING_BYTES */
void drawing_draw(uint64_t seed, unsigned class_id, uint8_t *rgb);

#endif
