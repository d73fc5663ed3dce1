/** @file rms_norm.h  Normalisation of rows by their root mean square; y may lie on x. */
#ifndef TTE_RMS_NORM_H
#define TTE_RMS_NORM_H

#include "tte/tte.h"

typedef struct {
    int32_t n, d;
    float eps;
} tte_rms_norm_f32_params;

/** y[n,d] = x * (1 / sqrt(sum(x * x) / d + eps)) * w[d]; the sum is of a row, in order. */
TTE_KERNEL tte_rms_norm_f32(const tte_rms_norm_f32_params *p, const float *x, const float *restrict w, float *y)
{
    for (int32_t i = 0; i < p->n; i++, x += p->d, y += p->d) {
        float sum = 0.0f;
        for (int32_t j = 0; j < p->d; j++) {
            sum += x[j] * x[j];
        }
        const float by = 1.0f / __builtin_sqrtf(sum / (float)p->d + p->eps);
        for (int32_t j = 0; j < p->d; j++) {
            y[j] = x[j] * by * w[j];
        }
    }
}

#endif
