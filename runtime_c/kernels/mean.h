/** @file mean.h  Mean along neighbouring axes. */
#ifndef TTE_MEAN_H
#define TTE_MEAN_H

#include "tte/tte.h"
#include "tte/tte_bits.h"

typedef struct {
    int32_t outer, n, inner;
    int32_t w;        /* the last extent but one of x */
    int32_t m, shift; /* of the sum, under LiteRT's rounding */
    int32_t onnx;     /* the rounding: in f32 by the scales */
    float scale_x, scale_y;
    int32_t zero_x, zero_y;
} tte_mean_s8_params;

typedef struct { int32_t outer, n, inner, w; } tte_mean_f32_params;

/** Mean i, whose n elements, without zero point, have this sum. */
TTE_INLINE int8_t tte_mean_one_s8(const tte_mean_s8_params *p, int32_t sum, uint8_t *mask, int32_t i)
{
    const int32_t q = p->onnx ? tte_round_even((float)sum * p->scale_x / (float)p->n / p->scale_y)
                              : tte_finish(TTE_TFLITE, sum, p->m, p->shift);
    return tte_clamp_masked(q + p->zero_y, -128, 127, mask, i);
}

/** y[outer,inner] = mean over n of x[outer,n,inner]. Overflow: n < 2^23 keeps the sum below 2^31. `mask` may be NULL. */
TTE_KERNEL tte_mean_s8(const tte_mean_s8_params *p, const int8_t *restrict x, int8_t *restrict y,
                       uint8_t *restrict mask)
{
    tte_mask_begin(mask, 0, p->outer * p->inner);
    for (int32_t o = 0; o < p->outer; o++, x += p->n * p->inner) {
        for (int32_t j = 0; j < p->inner; j++) {
            int32_t sum = 0;
            for (int32_t k = 0; k < p->n; k++) {
                sum += x[k * p->inner + j] - p->zero_x;
            }
            y[o * p->inner + j] = tte_mean_one_s8(p, sum, mask, o * p->inner + j);
        }
    }
}

/**
 * The mean of a map x[n/w,w,inner] by rows: adds row r to sums[inner], which row 0 clears; the last row makes y[inner].
 * Sums take any alignment.
 */
TTE_KERNEL tte_mean_rows_s8(const tte_mean_s8_params *p, const int8_t *restrict x, int32_t r, int8_t *restrict y,
                            int8_t *restrict sums)
{
    for (int32_t j = 0; j < p->inner; j++, sums += sizeof(int32_t)) {
        int32_t sum = r > 0 ? tte_load_s32(sums) : 0;
        for (int32_t k = 0; k < p->w; k++) {
            sum += x[k * p->inner + j] - p->zero_x;
        }
        if (r < p->n / p->w - 1) {
            tte_store_s32(sums, sum);
        } else {
            y[j] = tte_mean_one_s8(p, sum, NULL, 0);
        }
    }
}

/** y[outer,inner] = mean over n of x[outer,n,inner], added in order of n. */
TTE_KERNEL tte_mean_f32(const tte_mean_f32_params *p, const float *restrict x, float *restrict y)
{
    for (int32_t o = 0; o < p->outer; o++, x += p->n * p->inner) {
        for (int32_t j = 0; j < p->inner; j++) {
            float sum = 0.0f;
            for (int32_t k = 0; k < p->n; k++) {
                sum += x[k * p->inner + j];
            }
            *y++ = sum / (float)p->n;
        }
    }
}

#endif
