/** @file bias_grad.h  The gradient of a bias. */
#ifndef TTE_BIAS_GRAD_H
#define TTE_BIAS_GRAD_H

#include "tte/tte.h"
#include "tte/tte_floats4.h"

typedef struct {
    int32_t pixels, channels; /* of g */
    int32_t g_pitch;          /* elements from one pixel to the next */
} tte_bias_grad_params;

/** y[j] = (sum of g[i,j] over pixels i, in order) * scale[j]; a scale that is NULL is 1. Any c is alike. */
TTE_KERNEL tte_bias_grad(const tte_bias_grad_params *p, const float *restrict g, const float *restrict scale,
                         float *restrict y, int32_t c)
{
    (void)c;
    for (int32_t j = 0; j + 4 <= p->channels; j += 4) {
        tte_floats4 sums = tte_all4(0.0f);
        for (int32_t i = 0; i < p->pixels; i++) {
            sums = tte_plus4(sums, tte_load4(g + i * p->g_pitch + j));
        }
        tte_store4(y + j, scale ? tte_times4(sums, tte_load4(scale + j)) : sums);
    }
    for (int32_t j = p->channels / 4 * 4; j < p->channels; j++) {
        float sum = 0.0f;
        for (int32_t i = 0; i < p->pixels; i++) {
            sum += g[i * p->g_pitch + j];
        }
        y[j] = scale ? sum * scale[j] : sum;
    }
}

#endif
