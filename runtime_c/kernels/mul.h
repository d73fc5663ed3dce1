/** @file mul.h  Product of two tensors, element by element; y may lie on a or b where neither is repeated; `mask` may be NULL. */
#ifndef TTE_MUL_H
#define TTE_MUL_H

#include "tte/tte_bits.h"
#include "tte/tte_broadcast.h"

typedef struct {
    int32_t size;
    TTE_BROADCAST_PARAMS;
    int32_t zero_a, zero_b, zero_y, lo, hi;
    int32_t onnx; /* the rounding: in f32 by the scales, else by multiplier and shift */
    float scale_a, scale_b, scale_y;
    int32_t m, shift;
} tte_mul_s8_params;
typedef tte_mul_s8_params tte_mul_broadcast_s8_params;

typedef struct {
    int32_t size;
    TTE_BROADCAST_PARAMS;
    float low, high;
} tte_mul_f32_params;
typedef tte_mul_f32_params tte_mul_broadcast_f32_params;
typedef tte_mul_f32_params tte_mul_number_f32_params;

/** Product i in s8; it is below 2^16. */
TTE_INLINE int8_t tte_mul_one_s8(const tte_mul_s8_params *p, int32_t a, int32_t b, uint8_t *mask, int32_t i)
{
    int32_t y;
    if (p->onnx) {
        const float real = (float)(a - p->zero_a) * p->scale_a * ((float)(b - p->zero_b) * p->scale_b);
        y = tte_round_even(real / p->scale_y);
    } else {
        y = tte_finish(TTE_TFLITE, (a - p->zero_a) * (b - p->zero_b), p->m, p->shift);
    }
    return tte_clamp_masked(y + p->zero_y, p->lo, p->hi, mask, i);
}

/** One product in f32. */
TTE_INLINE float tte_mul_one_f32(const tte_mul_f32_params *p, float a, float b)
{
    const float y = a * b;
    return y < p->low ? p->low : y > p->high ? p->high : y;
}

/** y = clamp(a * b), all of one shape. */
TTE_KERNEL tte_mul_s8(const tte_mul_s8_params *p, const int8_t *a, const int8_t *b, int8_t *y,
                      uint8_t *restrict mask)
{
    tte_mask_begin(mask, 0, p->size);
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = tte_mul_one_s8(p, a[i], b[i], mask, i);
    }
}

/** y = clamp(a * b), a or b repeated. */
TTE_KERNEL tte_mul_broadcast_s8(const tte_mul_s8_params *p, const int8_t *restrict a, const int8_t *restrict b,
                                int8_t *restrict y, uint8_t *restrict mask)
{
    int32_t i = 0;
    tte_mask_begin(mask, 0, p->size);
    TTE_BROADCAST_LOOPS(p, y[i] = tte_mul_one_s8(p, a[ia], b[ib], mask, i); i++);
}

/** y = clamp(a * b), all of one shape. */
TTE_KERNEL tte_mul_f32(const tte_mul_f32_params *p, const float *a, const float *b, float *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = tte_mul_one_f32(p, a[i], b[i]);
    }
}

/** y = clamp(a * b), b being one number; y may lie on a. */
TTE_KERNEL tte_mul_number_f32(const tte_mul_f32_params *p, const float *a, const float *b, float *y, int32_t c)
{
    (void)c;
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = tte_mul_one_f32(p, a[i], b[0]);
    }
}

/** y = clamp(a * b), a or b repeated. */
TTE_KERNEL tte_mul_broadcast_f32(const tte_mul_f32_params *p, const float *restrict a, const float *restrict b,
                                 float *restrict y)
{
    TTE_BROADCAST(tte_mul_one_f32, p, a, b, y);
}

#endif
