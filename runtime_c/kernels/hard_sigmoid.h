/** @file hard_sigmoid.h  The hard sigmoid in f32; y may lie on x. */
#ifndef TTE_HARD_SIGMOID_H
#define TTE_HARD_SIGMOID_H

#include "tte/tte.h"

typedef struct {
    int32_t size;
    float alpha, beta;
} tte_hard_sigmoid_f32_params;

/** y = min(max(alpha * x + beta, 0), 1). */
TTE_KERNEL tte_hard_sigmoid_f32(const tte_hard_sigmoid_f32_params *p, const float *x, float *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        const float line = x[i] * p->alpha + p->beta;
        y[i] = line < 0.0f ? 0.0f : line > 1.0f ? 1.0f : line;
    }
}

#endif
