/** @file add.h  Sum and difference of two tensors; y may lie on a or b where neither is repeated; `mask` may be NULL. */
#ifndef TTE_ADD_H
#define TTE_ADD_H

#include "tte/tte_bits.h"
#include "tte/tte_broadcast.h"

typedef struct {
    int32_t size;
    TTE_BROADCAST_PARAMS;
    int32_t sign; /* 1: sum, -1: difference */
    int32_t zero_a, zero_b, zero_y, lo, hi;
    int32_t onnx; /* the rounding: in f32 by the scales, else in LiteRT's fixed point */
    float scale_a, scale_b, scale_y;
    int32_t m_a, shift_a, m_b, shift_b, m_y, shift_y;
} tte_add_s8_params;
typedef tte_add_s8_params tte_add_broadcast_s8_params;

typedef struct {
    int32_t size;
    TTE_BROADCAST_PARAMS;
    int32_t sign;
    float low, high;
} tte_add_f32_params;
typedef tte_add_f32_params tte_add_broadcast_f32_params;

/** Sum i in s8. Overflow: |x - zero| * 2^20 < 2^28, and both multipliers are at most 1/2. */
TTE_INLINE int8_t tte_add_one_s8(const tte_add_s8_params *p, int32_t a, int32_t b, uint8_t *mask, int32_t i)
{
    int32_t y;
    if (p->onnx) {
        const float real_a = (float)(a - p->zero_a) * p->scale_a, real_b = (float)(b - p->zero_b) * p->scale_b;
        y = tte_round_even((p->sign > 0 ? real_a + real_b : real_a - real_b) / p->scale_y);
    } else {
        const int32_t wide_a = tte_divide_by_power(tte_mul_q31((a - p->zero_a) * (1 << 20), p->m_a), p->shift_a);
        const int32_t wide_b = tte_divide_by_power(tte_mul_q31((b - p->zero_b) * (1 << 20), p->m_b), p->shift_b);
        y = tte_divide_by_power(tte_mul_q31(wide_a + p->sign * wide_b, p->m_y), p->shift_y);
    }
    return tte_clamp_masked(y + p->zero_y, p->lo, p->hi, mask, i);
}

/** One sum in f32. */
TTE_INLINE float tte_add_one_f32(const tte_add_f32_params *p, float a, float b)
{
    const float y = p->sign > 0 ? a + b : a - b;
    return y < p->low ? p->low : y > p->high ? p->high : y;
}

/** y = clamp(a + sign * b), all of one shape. */
TTE_KERNEL tte_add_s8(const tte_add_s8_params *p, const int8_t *a, const int8_t *b, int8_t *y,
                      uint8_t *restrict mask)
{
    tte_mask_begin(mask, 0, p->size);
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = tte_add_one_s8(p, a[i], b[i], mask, i);
    }
}

/** y = clamp(a + sign * b), a or b repeated. */
TTE_KERNEL tte_add_broadcast_s8(const tte_add_s8_params *p, const int8_t *restrict a, const int8_t *restrict b,
                                int8_t *restrict y, uint8_t *restrict mask)
{
    int32_t i = 0;
    tte_mask_begin(mask, 0, p->size);
    TTE_BROADCAST_LOOPS(p, y[i] = tte_add_one_s8(p, a[ia], b[ib], mask, i); i++);
}

/** y = clamp(a + sign * b), all of one shape. */
TTE_KERNEL tte_add_f32(const tte_add_f32_params *p, const float *a, const float *b, float *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = tte_add_one_f32(p, a[i], b[i]);
    }
}

/** y = clamp(a + sign * b), a or b repeated. */
TTE_KERNEL tte_add_broadcast_f32(const tte_add_f32_params *p, const float *restrict a, const float *restrict b,
                                 float *restrict y)
{
    TTE_BROADCAST(tte_add_one_f32, p, a, b, y);
}

#endif
