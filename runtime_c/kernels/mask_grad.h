/** @file mask_grad.h  The gradient before a clamp of integers. */
#ifndef TTE_MASK_GRAD_H
#define TTE_MASK_GRAD_H

#include "tte/tte.h"

typedef struct {
    int32_t pixels, channels;             /* of y */
    int32_t mask_pitch, g_pitch, y_pitch; /* elements from one pixel to the next */
} tte_mask_grad_params;

/** Element i of a packed mask. */
TTE_INLINE int32_t tte_bit(const uint8_t *mask, int32_t i)
{
    return (mask[i >> 3] >> (i & 7)) & 1;
}

/**
 * y[i,j] = g[i,j] * scale[j] where bit [i,c+j] of the mask, which is whole, is set, else 0; a scale that is NULL is 1.
 * y may be g.
 */
TTE_KERNEL tte_mask_grad(const tte_mask_grad_params *p, const float *g, const uint8_t *mask, const float *scale,
                         float *y, int32_t c)
{
    for (int32_t i = 0; i < p->pixels; i++) {
        for (int32_t j = 0; j < p->channels; j++) {
            const float v = scale ? g[i * p->g_pitch + j] * scale[j] : g[i * p->g_pitch + j];
            y[i * p->y_pitch + j] = tte_bit(mask, i * p->mask_pitch + c + j) ? v : 0.0f;
        }
    }
}

#endif
