/** @file softmax_grad.h  The gradient of a softmax. */
#ifndef TTE_SOFTMAX_GRAD_H
#define TTE_SOFTMAX_GRAD_H

#include "tte/tte.h"

typedef struct {
    int32_t rows, depth;
    float beta;
} tte_softmax_grad_params;

/** y = beta * of * (g - total), where total is the row's sum of g * of in order. */
TTE_KERNEL tte_softmax_grad(const tte_softmax_grad_params *p, const float *restrict g, const float *restrict of,
                            float *restrict y)
{
    for (int32_t row = 0; row < p->rows; row++, g += p->depth, of += p->depth, y += p->depth) {
        float total = 0.0f;
        for (int32_t i = 0; i < p->depth; i++) {
            total += g[i] * of[i];
        }
        for (int32_t i = 0; i < p->depth; i++) {
            y[i] = (g[i] - total) * of[i] * p->beta;
        }
    }
}

#endif
