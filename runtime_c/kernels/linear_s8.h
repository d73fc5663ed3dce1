/** @file linear_s8.h  The fully connected layer in s8. */
#ifndef TTE_LINEAR_S8_H
#define TTE_LINEAR_S8_H

#include "tte/tte.h"
#include "tte/tte_fixed.h"

typedef struct {
    int32_t m, n, k;
    int32_t zero_x, zero_y, lo, hi;
    int32_t rounding;
    int32_t shift;       /* the least right shift of a channel */
} tte_linear_s8_params;

/** The result of row j of w, from its sum without bias; q holds multipliers, then shifts. */
TTE_INLINE int8_t tte_linear_finish(const tte_linear_s8_params *p, int32_t j, int32_t sum, const int32_t *b,
                                    const int32_t *q)
{
    const int32_t y = tte_finish(p->rounding, (int64_t)sum + b[j], q[j], q[p->n + j]) + p->zero_y;
    return (int8_t)tte_clamp_s32(y, p->lo, p->hi);
}

/** y[m,n] = finish(b[n] + sum over k of (x[m,k] - zero_x) * w[n,k]). 255 * 128 * 2^15 products keep |sum| below 2^30. */
TTE_KERNEL tte_linear_s8(const tte_linear_s8_params *p, const int8_t *restrict x, const int8_t *restrict w,
                         const int32_t *restrict b, const int32_t *restrict q, int8_t *restrict y)
{
    for (int32_t i = 0; i < p->m; i++) {
        for (int32_t j = 0; j < p->n; j++) {
            int32_t sum = 0;
            for (int32_t l = 0; l < p->k; l++) {
                sum += (x[i * p->k + l] - p->zero_x) * w[j * p->k + l];
            }
            y[i * p->n + j] = tte_linear_finish(p, j, sum, b, q);
        }
    }
}

typedef struct {
    int32_t m, n, k;
    int32_t zero_x;
    float low, high;
} tte_linear_s8_f32_params;

/**
 * y[m,n] = clamp(f32(b[n] + sum over k of (x[m,k] - zero_x) * w[n,k]) * scale[n], low, high), scale[n] = s_x * s_w[n].
 * Overflow: as tte_linear_s8; b is added in 64 bits.
 */
TTE_KERNEL tte_linear_s8_f32(const tte_linear_s8_f32_params *p, const int8_t *restrict x, const int8_t *restrict w,
                             const int32_t *restrict b, const float *restrict scale, float *restrict y)
{
    for (int32_t i = 0; i < p->m; i++) {
        for (int32_t j = 0; j < p->n; j++) {
            int32_t sum = 0;
            for (int32_t l = 0; l < p->k; l++) {
                sum += (x[i * p->k + l] - p->zero_x) * w[j * p->k + l];
            }
            const float real = (float)((int64_t)sum + b[j]) * scale[j];
            y[i * p->n + j] = real < p->low ? p->low : real > p->high ? p->high : real;
        }
    }
}

#endif
