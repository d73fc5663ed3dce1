/** @file linear_rows.h  The fully connected layer of s8 rows that have a scale each. */
#ifndef TTE_LINEAR_ROWS_H
#define TTE_LINEAR_ROWS_H

#include "tte/tte.h"

typedef struct { int32_t m, n, k; } tte_linear_rows_s8_params;

/** y[m,n] = f32(sum over k of q[m,k] * w[n,k]) * (s[m] * scale[n]) + b[n]; b may be NULL. Exact up to k = 2^17. */
TTE_KERNEL tte_linear_rows_s8(const tte_linear_rows_s8_params *p, const int8_t *restrict q, const float *restrict s,
                              const int8_t *restrict w, const float *restrict scale, const float *restrict b,
                              float *restrict y)
{
    for (int32_t i = 0; i < p->m; i++) {
        for (int32_t j = 0; j < p->n; j++) {
            int32_t sum = 0;
            for (int32_t l = 0; l < p->k; l++) {
                sum += q[i * p->k + l] * w[j * p->k + l];
            }
            y[i * p->n + j] = (float)sum * (s[i] * scale[j]) + (b ? b[j] : 0.0f);
        }
    }
}

#endif
