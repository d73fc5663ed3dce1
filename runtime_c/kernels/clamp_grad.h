/** @file clamp_grad.h  The gradient before a clamp of floats. */
#ifndef TTE_CLAMP_GRAD_H
#define TTE_CLAMP_GRAD_H

#include "tte/tte.h"

typedef struct {
    int32_t pixels, channels;           /* of y */
    float low, high;
    int32_t g_pitch, of_pitch, y_pitch; /* elements from one pixel to the next */
} tte_clamp_grad_params;

/** y[i,j] = g[i,j] where low < of[i,j] < high, else 0. y may be g or `of`. */
TTE_KERNEL tte_clamp_grad(const tte_clamp_grad_params *p, const float *g, const float *of, float *y, int32_t c)
{
    (void)c;
    for (int32_t i = 0; i < p->pixels; i++) {
        for (int32_t j = 0; j < p->channels; j++) {
            const float v = of[i * p->of_pitch + j];
            y[i * p->y_pitch + j] = v > p->low && v < p->high ? g[i * p->g_pitch + j] : 0.0f;
        }
    }
}

#endif
