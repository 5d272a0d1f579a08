/* A network of every kind of layer, small enough for a test. */
#ifndef SMALL_NET_H
#define SMALL_NET_H

#include "nn/net.h"

enum { SMALL_LAYERS = 8, SMALL_SIDE = 37, SMALL_CLASSES = 19, SMALL_INPUT = SMALL_SIDE * SMALL_SIDE * 3 };

typedef struct small_net {
    iq_layer layers[SMALL_LAYERS];
    iq_net net;
} small_net;

/** Random weights of a scale that keeps values near 1; small_net_free(). */
void small_net_make(small_net *small);
void small_net_free(small_net *small);

#endif
