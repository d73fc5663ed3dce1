/** @file quantize.h  Reals as integers, and back. */
#ifndef TTE_QUANTIZE_H
#define TTE_QUANTIZE_H

#include "tte/tte.h"
#include "tte/tte_bits.h"

typedef struct {
    int32_t size;
    float scale;
    int32_t zero;
    int32_t onnx; /* ties: to even, else away from zero */
} tte_quantize_s8_params;
typedef struct {
    int32_t size;
    float scale;
    int32_t zero;
} tte_dequantize_s8_params;
typedef struct { int32_t m, n; } tte_dequantize_s32_params;

/** y = clamp(round(x / scale) + zero, -128, 127); y may lie on the start of x; `mask` may be NULL. */
TTE_KERNEL tte_quantize_s8(const tte_quantize_s8_params *p, const float *x, int8_t *y, uint8_t *restrict mask)
{
    tte_mask_begin(mask, 0, p->size);
    for (int32_t i = 0; i < p->size; i++) {
        const float ratio = x[i] / p->scale;
        const int32_t q = p->onnx ? tte_round_even(ratio) : tte_round_away(ratio);
        y[i] = tte_clamp_masked(q + p->zero, -128, 127, mask, i);
    }
}

/** y = (x - zero) * scale. */
TTE_KERNEL tte_dequantize_s8(const tte_dequantize_s8_params *p, const int8_t *restrict x, float *restrict y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = (float)(x[i] - p->zero) * p->scale;
    }
}

/** y[m,n] = x * scale[n]; y may be x. */
TTE_KERNEL tte_dequantize_s32(const tte_dequantize_s32_params *p, const int32_t *x, const float *restrict scale,
                              float *y)
{
    for (int32_t i = 0; i < p->m; i++, x += p->n, y += p->n) {
        for (int32_t j = 0; j < p->n; j++) {
            y[j] = (float)x[j] * scale[j];
        }
    }
}

#endif
