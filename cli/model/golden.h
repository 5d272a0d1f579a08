/* Written by tests/golden/make_golden.py: what Keras's ImageNet weights answer, in float64, to two
 * patterns that imgq-model verify draws itself. */
#ifndef CLI_MODEL_GOLDEN_H
#define CLI_MODEL_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

/* The first biases of the head, by which those weights are recognised. */
static const float golden_bias[] = {-0.00806632824F, -0.00282376772F, -0.00642026169F,
                                    -0.0145175382F,  0.00185494672F,  -0.0118305106F};

typedef struct golden_pattern {
    uint32_t best;
    double sum; /* of all logits */
    struct {
        uint32_t class_id;
        double logit;
    } logits[8];
    size_t count;
} golden_pattern;

static const golden_pattern golden_patterns[] = {
    {599,
     0.316094,
     {{0, -3.153957},
      {250, -1.276576},
      {500, -5.411616},
      {530, 13.561716},
      {599, 13.931920},
      {750, 3.801110},
      {892, 11.332425},
      {999, 5.063623}},
     8},
    {417,
     0.307103,
     {{0, -4.026966},
      {250, -2.521018},
      {417, 12.612982},
      {500, -4.381140},
      {619, 9.490821},
      {641, 9.268663},
      {750, 1.685324},
      {999, 1.925862}},
     8},
};

#endif
