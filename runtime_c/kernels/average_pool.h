/** @file average_pool.h  Average pooling: one row of the result. */
#ifndef TTE_AVERAGE_POOL_H
#define TTE_AVERAGE_POOL_H

#include "tte/tte.h"
#include "tte/tte_bits.h"

typedef struct {
    int32_t w, c, kh, kw, ow;  /* width and channels of x, window, width of y */
    int32_t stride, left;      /* along the row */
    int32_t count;             /* the divisor, or 0: as many elements as lie inside x */
    int32_t lo, hi;
} tte_average_pool_s8_params;

typedef struct {
    int32_t w, c, kh, kw, ow, stride, left, count;
    float scale_x, scale_y;
    int32_t zero_x, zero_y, lo, hi;
    int32_t order;             /* of the sum: TTE_BY_ROWS, TTE_BY_COLUMNS or TTE_BY_LANES */
} tte_average_pool_onnx_s8_params;

/** Row by row; the sums of columns; or four sums of every fourth element, then (0 + 2) + (1 + 3), then what is left. */
enum { TTE_BY_ROWS, TTE_BY_COLUMNS, TTE_BY_LANES };

typedef struct {
    int32_t w, c, kh, kw, ow, stride, left, count;
    float low, high;
} tte_average_pool_f32_params;

/** Columns k of a window of kw, first <= k < last, that lie inside a row of w for the window that starts at `at`. */
TTE_INLINE tte_span tte_pool_columns(int32_t at, int32_t kw, int32_t w)
{
    return (tte_span){at < 0 ? -at : 0, at + kw > w ? w - at : kw};
}

/** Mean i, of `count` integers whose sum is `sum`, ties away from zero. |sum| <= 2^31 / 128 elements. */
TTE_INLINE int8_t tte_average(const tte_average_pool_s8_params *p, int32_t sum, int32_t count, uint8_t *mask, int32_t i)
{
    const int32_t y = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
    return tte_clamp_masked(y, p->lo, p->hi, mask, i);
}

/**
 * y[ow,c] = clamp(mean over ky, kx of x[ky][ox * stride - left + kx, c]); x[ky] is a row [w,c], ky within `ky`. This is
 * row r, whose bits come after those of earlier rows in `mask`, which may be NULL.
 */
TTE_KERNEL tte_average_pool_s8(const tte_average_pool_s8_params *p, const void *const *x, tte_span ky,
                               int8_t *restrict y, uint8_t *restrict mask, int32_t r)
{
    tte_mask_begin(mask, r * p->ow * p->c, p->ow * p->c);
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
            const int32_t i = ox * p->c + j;
            y[i] = tte_average(p, sum, p->count ? p->count : inside, mask, r * p->ow * p->c + i);
        }
    }
}

/** Column `column` of a row of the window, channel j, as a real. */
TTE_INLINE float tte_pool_real(const tte_average_pool_onnx_s8_params *p, const void *const *x, int32_t row,
                               int32_t column, int32_t j)
{
    return (float)(((const int8_t *)x[row])[column * p->c + j] - p->zero_x) * p->scale_x;
}

/** The sum of a window of channel j, rows `ky` and columns `kx` from `at` on, in p->order. */
TTE_INLINE float tte_pool_sum(const tte_average_pool_onnx_s8_params *p, const void *const *x, tte_span ky, tte_span kx,
                              int32_t at, int32_t j)
{
    const int32_t wide = kx.last - kx.first, high = ky.last - ky.first;
    const int32_t blocks = p->order == TTE_BY_LANES ? wide * high / 4 * 4 : 0;
    float sum = 0.0f, lane[4] = {0.0f, 0.0f, 0.0f, 0.0f}, column = 0.0f;
    for (int32_t i = 0; i < wide * high; i++) {
        const int32_t row = ky.first + (p->order == TTE_BY_COLUMNS ? i % high : i / wide);
        const int32_t from = at + kx.first + (p->order == TTE_BY_COLUMNS ? i / high : i % wide);
        const float real = tte_pool_real(p, x, row, from, j);
        if (p->order == TTE_BY_COLUMNS) {
            column += real;
            if (i % high == high - 1) {
                sum += column;
                column = 0.0f;
            }
        } else if (i < blocks) {
            lane[i % 4] += real;
            if (i == blocks - 1) {
                sum = (lane[0] + lane[2]) + (lane[1] + lane[3]);
            }
        } else {
            sum += real;
        }
    }
    return sum;
}

/** As tte_average_pool_s8, in f32 and with the rounding of ONNX Runtime. */
TTE_KERNEL tte_average_pool_onnx_s8(const tte_average_pool_onnx_s8_params *p, const void *const *x, tte_span ky,
                                    int8_t *restrict y, uint8_t *restrict mask, int32_t r)
{
    tte_mask_begin(mask, r * p->ow * p->c, p->ow * p->c);
    for (int32_t ox = 0; ox < p->ow; ox++) {
        const int32_t at = ox * p->stride - p->left;
        const tte_span kx = tte_pool_columns(at, p->kw, p->w);
        const int32_t inside = (ky.last - ky.first) * (kx.last - kx.first);
        for (int32_t j = 0; j < p->c; j++) {
            const float mean = tte_pool_sum(p, x, ky, kx, at, j) / (float)(p->count ? p->count : inside);
            const int32_t q = tte_round_even(mean / p->scale_y) + p->zero_y;
            const int32_t i = ox * p->c + j;
            y[i] = tte_clamp_masked(q, p->lo, p->hi, mask, r * p->ow * p->c + i);
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
                *y = tte_average(p, sum, p->count ? p->count : inside, NULL, 0);
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
