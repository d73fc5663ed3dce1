/** @file mean_grad.h  The gradient of a mean. */
#ifndef TTE_MEAN_GRAD_H
#define TTE_MEAN_GRAD_H

#include "tte/tte.h"

typedef struct { int32_t outer, n, inner; } tte_mean_grad_params;

/** y[outer,n,inner] = g[outer,inner] / n. */
TTE_KERNEL tte_mean_grad(const tte_mean_grad_params *p, const float *restrict g, float *restrict y)
{
    for (int32_t i = 0; i < p->outer; i++) {
        for (int32_t k = 0; k < p->n; k++) {
            for (int32_t j = 0; j < p->inner; j++) {
                *y++ = g[i * p->inner + j] / (float)p->n;
            }
        }
    }
}

#endif
