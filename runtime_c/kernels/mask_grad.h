/** @file mask_grad.h  The gradient before a clamp of integers. */
#ifndef TTE_MASK_GRAD_H
#define TTE_MASK_GRAD_H

#include "tte/tte.h"
#include "tte/tte_floats4.h"

typedef struct {
    int32_t pixels, channels;             /* of y */
    int32_t mask_pitch, g_pitch, y_pitch; /* elements from one pixel to the next */
} tte_mask_grad_params;

/**
 * y[i,j] = g[i,j] * scale[j] where bit [i,c+j] of the mask, which is whole, is set, else 0; a scale that is NULL is 1.
 * y may be g.
 */
TTE_KERNEL tte_mask_grad(const tte_mask_grad_params *p, const float *g, const uint8_t *mask, const float *scale,
                         float *y, int32_t c)
{
    const int32_t blocks = p->mask_pitch % 4 == 0 && c % 4 == 0 ? p->channels / 4 * 4 : 0;
    for (int32_t j = 0; j < blocks; j += 4) {
        const tte_floats4 by = scale ? tte_load4(scale + j) : tte_all4(1.0f);
        for (int32_t i = 0; i < p->pixels; i++) {
            const int32_t at = i * p->mask_pitch + c + j, bits = mask[at >> 3] >> (at & 7);
            const tte_floats4 v = tte_times4(tte_load4(g + i * p->g_pitch + j), by);
            float *to = y + i * p->y_pitch + j;
            to[0] = bits & 1 ? v.a : 0.0f;
            to[1] = bits & 2 ? v.b : 0.0f;
            to[2] = bits & 4 ? v.c : 0.0f;
            to[3] = bits & 8 ? v.d : 0.0f;
        }
    }
    for (int32_t i = 0; i < p->pixels; i++) {
        for (int32_t j = blocks; j < p->channels; j++) {
            const int32_t at = i * p->mask_pitch + c + j;
            const float v = scale ? g[i * p->g_pitch + j] * scale[j] : g[i * p->g_pitch + j];
            y[i * p->y_pitch + j] = mask[at >> 3] >> (at & 7) & 1 ? v : 0.0f;
        }
    }
}

#endif
