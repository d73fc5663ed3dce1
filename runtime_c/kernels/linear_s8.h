/** @file linear_s8.h  The fully connected layer in s8. */
#ifndef TTE_LINEAR_S8_H
#define TTE_LINEAR_S8_H

#include "tte/tte_dot.h"
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
    const int32_t shift = q[p->n + j];
    TTE_ASSUME(p->rounding == TTE_ONNX || shift >= p->shift);
    const int32_t y = tte_finish(p->rounding, (int64_t)sum + b[j], q[j], shift) + p->zero_y;
    return (int8_t)tte_clamp_s32(y, p->lo, p->hi);
}

/** y[m,n] = finish(b[n] + sum over k of (x[m,k] - zero_x) * w[n,k]). 255 * 128 * 2^15 products keep |sum| below 2^30. */
TTE_KERNEL tte_linear_s8(const tte_linear_s8_params *p, const int8_t *restrict x, const int8_t *restrict w,
                         const int32_t *restrict b, const int32_t *restrict q, int8_t *restrict y)
{
    for (int32_t i = 0; i < p->m; i++) {
        const tte_sums4 none = {0, 0, 0, 0};
        for (int32_t j = 0; j + 4 <= p->n; j += 4) {
            const tte_sums4 s = tte_dot_s8(none, x + i * p->k, p->zero_x, w + j * p->k, p->k, 4, p->k);
            y[i * p->n + j] = tte_linear_finish(p, j, s.a, b, q);
            y[i * p->n + j + 1] = tte_linear_finish(p, j + 1, s.b, b, q);
            y[i * p->n + j + 2] = tte_linear_finish(p, j + 2, s.c, b, q);
            y[i * p->n + j + 3] = tte_linear_finish(p, j + 3, s.d, b, q);
        }
        for (int32_t j = p->n / 4 * 4; j < p->n; j++) {
            const tte_sums4 s = tte_dot_s8(none, x + i * p->k, p->zero_x, w + j * p->k, p->k, 1, p->k);
            y[i * p->n + j] = tte_linear_finish(p, j, s.a, b, q);
        }
    }
}

typedef struct {
    int32_t m, n, k;
    int32_t zero_x;
    float low, high;
} tte_linear_s8_f32_params;

/** The result of row j of w as a float, from its sum without bias. */
TTE_INLINE float tte_linear_real(const tte_linear_s8_f32_params *p, int32_t j, int32_t sum, const int32_t *b,
                                 const float *scale)
{
    const float real = (float)((int64_t)sum + b[j]) * scale[j];
    return real < p->low ? p->low : real > p->high ? p->high : real;
}

/**
 * y[m,n] = clamp(f32(b[n] + sum over k of (x[m,k] - zero_x) * w[n,k]) * scale[n], low, high), scale[n] = s_x * s_w[n].
 * Overflow: as tte_linear_s8; b is added in 64 bits.
 */
TTE_KERNEL tte_linear_s8_f32(const tte_linear_s8_f32_params *p, const int8_t *restrict x, const int8_t *restrict w,
                             const int32_t *restrict b, const float *restrict scale, float *restrict y)
{
    for (int32_t i = 0; i < p->m; i++) {
        const tte_sums4 none = {0, 0, 0, 0};
        for (int32_t j = 0; j + 4 <= p->n; j += 4) {
            const tte_sums4 s = tte_dot_s8(none, x + i * p->k, p->zero_x, w + j * p->k, p->k, 4, p->k);
            y[i * p->n + j] = tte_linear_real(p, j, s.a, b, scale);
            y[i * p->n + j + 1] = tte_linear_real(p, j + 1, s.b, b, scale);
            y[i * p->n + j + 2] = tte_linear_real(p, j + 2, s.c, b, scale);
            y[i * p->n + j + 3] = tte_linear_real(p, j + 3, s.d, b, scale);
        }
        for (int32_t j = p->n / 4 * 4; j < p->n; j++) {
            const tte_sums4 s = tte_dot_s8(none, x + i * p->k, p->zero_x, w + j * p->k, p->k, 1, p->k);
            y[i * p->n + j] = tte_linear_real(p, j, s.a, b, scale);
        }
    }
}

typedef struct {
    int32_t m, n, k;
    int32_t zero_x;
} tte_linear_s8_s32_params;

/**
 * y[m,n] = sum over k of (x[m,k] - zero_x) * w[n,k] + b[n]; b may be NULL. Overflow: as tte_linear_s8 without b, and
 * |b| <= 2^29.
 */
TTE_KERNEL tte_linear_s8_s32(const tte_linear_s8_s32_params *p, const int8_t *restrict x, const int8_t *restrict w,
                             const int32_t *restrict b, int32_t *restrict y)
{
    for (int32_t i = 0; i < p->m; i++) {
        const tte_sums4 none = {0, 0, 0, 0};
        for (int32_t j = 0; j + 4 <= p->n; j += 4) {
            const tte_sums4 s = tte_dot_s8(none, x + i * p->k, p->zero_x, w + j * p->k, p->k, 4, p->k);
            y[i * p->n + j] = s.a + (b ? b[j] : 0);
            y[i * p->n + j + 1] = s.b + (b ? b[j + 1] : 0);
            y[i * p->n + j + 2] = s.c + (b ? b[j + 2] : 0);
            y[i * p->n + j + 3] = s.d + (b ? b[j + 3] : 0);
        }
        for (int32_t j = p->n / 4 * 4; j < p->n; j++) {
            const tte_sums4 s = tte_dot_s8(none, x + i * p->k, p->zero_x, w + j * p->k, p->k, 1, p->k);
            y[i * p->n + j] = s.a + (b ? b[j] : 0);
        }
    }
}

#endif
