/** @file mean_squared_error.h  The mean squared error, and its gradient. */
#ifndef TTE_MEAN_SQUARED_ERROR_H
#define TTE_MEAN_SQUARED_ERROR_H

#include "tte/tte.h"

typedef struct { int32_t n; } tte_mean_squared_error_params;

/** loss = (sum of (prediction[i] - target[i])^2, in order) / n. */
TTE_KERNEL tte_mean_squared_error(const tte_mean_squared_error_params *p, const float *restrict prediction,
                                  const float *restrict target, float *restrict loss)
{
    float sum = 0.0f;
    for (int32_t i = 0; i < p->n; i++) {
        const float d = prediction[i] - target[i];
        sum += d * d;
    }
    *loss = sum / (float)p->n;
}

/** y[i] = 2 * (prediction[i] - target[i]) / n. y may be either of them. */
TTE_KERNEL tte_mean_squared_error_grad(const tte_mean_squared_error_params *p, const float *prediction,
                                       const float *target, float *y)
{
    for (int32_t i = 0; i < p->n; i++) {
        const float d = prediction[i] - target[i];
        y[i] = (d + d) / (float)p->n;
    }
}

#endif
