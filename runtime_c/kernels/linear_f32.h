/** @file linear_f32.h  The fully connected layer in f32. */
#ifndef TTE_LINEAR_F32_H
#define TTE_LINEAR_F32_H

#include "tte/tte.h"

typedef struct {
    int32_t m, n, k;
    float low, high;
} tte_linear_f32_params;

/**
 * y[m,n] = clamp(sum over k of x[m,k] * w[n,k] + b[n], low, high); products are added in order of k, the bias last.
 * b may be NULL.
 */
TTE_KERNEL tte_linear_f32(const tte_linear_f32_params *p, const float *restrict x, const float *restrict w,
                          const float *restrict b, float *restrict y)
{
    for (int32_t i = 0; i < p->m; i++) {
        for (int32_t j = 0; j < p->n; j++) {
            float sum = 0.0f;
            for (int32_t l = 0; l < p->k; l++) {
                sum += x[i * p->k + l] * w[j * p->k + l];
            }
            sum += b ? b[j] : 0.0f;
            y[i * p->n + j] = sum < p->low ? p->low : sum > p->high ? p->high : sum;
        }
    }
}

#endif
