/* What Winograd's minimal filtering asks of an engine: the product of one of its points. */
#ifndef IQ_NN_OPS_WINOGRAD_H
#define IQ_NN_OPS_WINOGRAD_H

#include "nn/ops/conv.h"

/** after[rows x (panels x cols)] = before[rows x in_channels] * weights */
typedef struct iq_winograd_product {
    const iq_conv *conv; /* in_channels and set */
    const float *before;
    size_t before_step;   /* floats from row to row */
    const float *weights; /* [panels][in_channels][cols] */
    size_t panels, cols;
    float *after;
    size_t after_step;
    size_t rows;
    const float *next; /* weights that come after these, to be fetched meanwhile; any address will do */
} iq_winograd_product;

/** Channels of a panel, which divide out_channels, or 0. */
size_t iq_openblas_panel_cols(const iq_conv *conv);
void iq_openblas_winograd_product(const iq_winograd_product *product);

#endif
