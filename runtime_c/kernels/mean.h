/** @file mean.h  Mean along neighbouring axes. */
#ifndef TTE_MEAN_H
#define TTE_MEAN_H

#include "tte/tte.h"
#include "tte/tte_fixed.h"

typedef struct {
    int32_t outer, n, inner;
    int32_t m, shift; /* of the sum, under LiteRT's rounding */
    int32_t onnx;     /* the rounding: in f32 by the scales */
    float scale_x, scale_y;
    int32_t zero_x, zero_y;
} tte_mean_s8_params;

typedef struct { int32_t outer, n, inner; } tte_mean_f32_params;

/** y[outer,inner] = mean over n of x[outer,n,inner]. Overflow: n < 2^23 keeps the sum below 2^31. */
TTE_KERNEL tte_mean_s8(const tte_mean_s8_params *p, const int8_t *restrict x, int8_t *restrict y)
{
    for (int32_t o = 0; o < p->outer; o++, x += p->n * p->inner) {
        for (int32_t j = 0; j < p->inner; j++) {
            int32_t sum = 0, q;
            for (int32_t k = 0; k < p->n; k++) {
                sum += x[k * p->inner + j] - p->zero_x;
            }
            if (p->onnx) {
                q = tte_round_even((float)sum * p->scale_x / (float)p->n / p->scale_y);
            } else {
                q = tte_finish(TTE_TFLITE, sum, p->m, p->shift);
            }
            *y++ = (int8_t)tte_clamp_s32(q + p->zero_y, -128, 127);
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
