/** @file max_pool.h  Maximum pooling: one row of the result. */
#ifndef TTE_MAX_POOL_H
#define TTE_MAX_POOL_H

#include "tte/kernels/average_pool.h"

typedef struct { int32_t w, c, kw, ow, stride, left, lo, hi; } tte_max_pool_s8_params;
typedef struct {
    int32_t w, c, kw, ow, stride, left;
    float low, high;
} tte_max_pool_f32_params;

/** y[ow,c] = clamp(max over ky, kx of x[ky][ox * stride - left + kx, c]); x[ky] is a row [w,c], ky within `ky`. */
TTE_KERNEL tte_max_pool_s8(const tte_max_pool_s8_params *p, const void *const *x, tte_span ky, int8_t *restrict y)
{
    for (int32_t ox = 0; ox < p->ow; ox++) {
        const int32_t at = ox * p->stride - p->left;
        const tte_span kx = tte_pool_columns(at, p->kw, p->w);
        for (int32_t j = 0; j < p->c; j++) {
            int32_t max = p->lo;
            for (int32_t i = ky.first; i < ky.last; i++) {
                const int8_t *from = (const int8_t *)x[i] + at * p->c + j;
                for (int32_t k = kx.first; k < kx.last; k++) {
                    max = from[k * p->c] > max ? from[k * p->c] : max;
                }
            }
            y[ox * p->c + j] = (int8_t)(max > p->hi ? p->hi : max);
        }
    }
}

/** As tte_max_pool_s8. */
TTE_KERNEL tte_max_pool_f32(const tte_max_pool_f32_params *p, const void *const *x, tte_span ky, float *restrict y)
{
    for (int32_t ox = 0; ox < p->ow; ox++) {
        const int32_t at = ox * p->stride - p->left;
        const tte_span kx = tte_pool_columns(at, p->kw, p->w);
        for (int32_t j = 0; j < p->c; j++) {
            float max = p->low;
            for (int32_t i = ky.first; i < ky.last; i++) {
                const float *from = (const float *)x[i] + at * p->c + j;
                for (int32_t k = kx.first; k < kx.last; k++) {
                    max = from[k * p->c] > max ? from[k * p->c] : max;
                }
            }
            y[ox * p->c + j] = max > p->high ? p->high : max;
        }
    }
}

#endif
