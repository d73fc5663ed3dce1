/** @file layer_norm.h  Normalisation of rows by their mean and variance; y may lie on x. */
#ifndef TTE_LAYER_NORM_H
#define TTE_LAYER_NORM_H

#include "tte/tte.h"

typedef struct {
    int32_t n, d;
    float eps;
} tte_layer_norm_f32_params;

/** y[n,d] = (x - m) * (1 / sqrt(sum((x - m)^2) / d + eps)) * w[d] + b[d], m = sum(x) / d; sums are of a row, in order. */
TTE_KERNEL tte_layer_norm_f32(const tte_layer_norm_f32_params *p, const float *x, const float *restrict w,
                              const float *restrict b, float *y)
{
    for (int32_t i = 0; i < p->n; i++, x += p->d, y += p->d) {
        float sum = 0.0f, squares = 0.0f;
        for (int32_t j = 0; j < p->d; j++) {
            sum += x[j];
        }
        const float mean = sum / (float)p->d;
        for (int32_t j = 0; j < p->d; j++) {
            squares += (x[j] - mean) * (x[j] - mean);
        }
        const float by = 1.0f / __builtin_sqrtf(squares / (float)p->d + p->eps);
        for (int32_t j = 0; j < p->d; j++) {
            y[j] = (x[j] - mean) * by * w[j] + b[j];
        }
    }
}

#endif
