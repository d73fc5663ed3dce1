/** @file average_pool.h  Average pooling: one row of the result. */
#ifndef TTE_AVERAGE_POOL_H
#define TTE_AVERAGE_POOL_H

#include "tte/tte.h"
#include "tte/tte_fixed.h"

typedef struct {
    int32_t w, c, kh, kw, ow;  /* width and channels of x, window, width of y */
    int32_t stride, left;      /* along the row */
    int32_t count;             /* the divisor, or 0: as many elements as lie inside x */
    float scale_x, scale_y;
    int32_t zero_x, zero_y, lo, hi;
    int32_t onnx;              /* the rounding: f32, ties to even; else integers, ties away from zero */
} tte_average_pool_s8_params;

typedef struct {
    int32_t w, c, kh, kw, ow, stride, left, count;
    float low, high;
} tte_average_pool_f32_params;

/** Columns k of a window of kw, first <= k < last, that lie inside a row of w for the window that starts at `at`. */
TTE_INLINE tte_span tte_pool_columns(int32_t at, int32_t kw, int32_t w)
{
    return (tte_span){at < 0 ? -at : 0, at + kw > w ? w - at : kw};
}

/** The mean of `count` integers whose sum is `sum`, `inside` of them not padding. |sum| <= 2^31 / 128 elements. */
TTE_INLINE int8_t tte_average(const tte_average_pool_s8_params *p, int32_t sum, int32_t inside, int32_t count)
{
    int32_t y;
    if (p->onnx) {
        const float mean = (float)(sum - inside * p->zero_x) * p->scale_x / (float)count;
        y = tte_round_even(mean / p->scale_y) + p->zero_y;
    } else {
        y = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
    }
    return (int8_t)tte_clamp_s32(y, p->lo, p->hi);
}

/** y[ow,c] = clamp(mean over ky, kx of x[ky][ox * stride - left + kx, c]); x[ky] is a row [w,c], ky within `ky`. */
TTE_KERNEL tte_average_pool_s8(const tte_average_pool_s8_params *p, const void *const *x, tte_span ky,
                               int8_t *restrict y)
{
    for (int32_t ox = 0; ox < p->ow; ox++) {
        const int32_t at = ox * p->stride - p->left;
        const tte_span kx = tte_pool_columns(at, p->kw, p->w);
        const int32_t inside = (ky.last - ky.first) * (kx.last - kx.first);
        for (int32_t j = 0; j < p->c; j++) {
            int32_t sum = 0;
            for (int32_t i = ky.first; i < ky.last; i++) {
                const int8_t *from = (const int8_t *)x[i] + at * p->c + j;
                for (int32_t k = kx.first; k < kx.last; k++) {
                    sum += from[k * p->c];
                }
            }
            y[ox * p->c + j] = tte_average(p, sum, inside, p->count ? p->count : inside);
        }
    }
}

/**
 * tte_average_pool_s8 of a window as high as x, by rows of x: adds row r to sums[ow,c], which row 0 clears; the last row
 * makes y. Sums take any alignment.
 */
TTE_KERNEL tte_average_pool_rows_s8(const tte_average_pool_s8_params *p, const int8_t *restrict x, int32_t r,
                                    int8_t *restrict y, int8_t *restrict sums)
{
    for (int32_t ox = 0; ox < p->ow; ox++) {
        const int32_t at = ox * p->stride - p->left;
        const tte_span kx = tte_pool_columns(at, p->kw, p->w);
        const int32_t inside = p->kh * (kx.last - kx.first);
        for (int32_t j = 0; j < p->c; j++, y++, sums += sizeof(int32_t)) {
            int32_t sum = r > 0 ? tte_load_s32(sums) : 0;
            for (int32_t k = kx.first; k < kx.last; k++) {
                sum += x[(at + k) * p->c + j];
            }
            if (r < p->kh - 1) {
                tte_store_s32(sums, sum);
            } else {
                *y = tte_average(p, sum, inside, p->count ? p->count : inside);
            }
        }
    }
}

/** As tte_average_pool_s8; elements are added in order of ky, kx. */
TTE_KERNEL tte_average_pool_f32(const tte_average_pool_f32_params *p, const void *const *x, tte_span ky,
                                float *restrict y)
{
    for (int32_t ox = 0; ox < p->ow; ox++) {
        const int32_t at = ox * p->stride - p->left;
        const tte_span kx = tte_pool_columns(at, p->kw, p->w);
        const int32_t inside = (ky.last - ky.first) * (kx.last - kx.first);
        for (int32_t j = 0; j < p->c; j++) {
            float sum = 0.0f;
            for (int32_t i = ky.first; i < ky.last; i++) {
                const float *from = (const float *)x[i] + at * p->c + j;
                for (int32_t k = kx.first; k < kx.last; k++) {
                    sum += from[k * p->c];
                }
            }
            const float mean = sum / (float)(p->count ? p->count : inside);
            y[ox * p->c + j] = mean < p->low ? p->low : mean > p->high ? p->high : mean;
        }
    }
}

#endif
