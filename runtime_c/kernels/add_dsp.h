/** @file add_dsp.h  Sum and difference in s8, for Arm's DSP extension; y may lie on a or b; `mask` may be NULL. */
#ifndef TTE_ADD_DSP_H
#define TTE_ADD_DSP_H

#include "tte/kernels/add.h"
#include "tte/simd/dsp.h"

/** (x - zero) * 2^20 at the common scale. The larger of two scales has the multiplier 1/2, which leaves no fraction. */
TTE_INLINE int32_t tte_add_dsp_wide(int32_t x, int32_t zero, int32_t m, int32_t shift)
{
    if (m == 1 << 30 && shift == 0) {
        return (x - zero) * (1 << 19);
    }
    return tte_dsp_scaled((x - zero) * (1 << 20), m, shift);
}

/** Sum i, as tte_add_one_s8. */
TTE_INLINE int8_t tte_add_one_s8_dsp(const tte_add_s8_params *p, int32_t a, int32_t b, uint8_t *mask, int32_t i)
{
    int32_t y;
    if (p->onnx) {
        const float real_a = (float)(a - p->zero_a) * p->scale_a, real_b = (float)(b - p->zero_b) * p->scale_b;
        y = tte_dsp_round((p->sign > 0 ? real_a + real_b : real_a - real_b) / p->scale_y);
    } else {
        const int32_t wide_a = tte_add_dsp_wide(a, p->zero_a, p->m_a, p->shift_a);
        const int32_t wide_b = tte_add_dsp_wide(b, p->zero_b, p->m_b, p->shift_b);
        y = tte_dsp_scaled(wide_a + p->sign * wide_b, p->m_y, p->shift_y);
    }
    return tte_dsp_clamp(tte_dsp_qadd(y, p->zero_y), p->lo, p->hi, mask, i);
}

/** As tte_add_s8. */
TTE_KERNEL tte_add_s8_dsp(const tte_add_s8_params *p, const int8_t *a, const int8_t *b, int8_t *y,
                          uint8_t *restrict mask)
{
    int32_t i = 0;
    tte_mask_begin(mask, 0, p->size);
    for (; i + 4 <= p->size; i += 4, a += 4, b += 4, y += 4) {
        const int8_t first = tte_add_one_s8_dsp(p, a[0], b[0], mask, i);
        const int8_t second = tte_add_one_s8_dsp(p, a[1], b[1], mask, i + 1);
        const int8_t third = tte_add_one_s8_dsp(p, a[2], b[2], mask, i + 2);
        const int8_t fourth = tte_add_one_s8_dsp(p, a[3], b[3], mask, i + 3);
        y[0] = first;
        y[1] = second;
        y[2] = third;
        y[3] = fourth;
    }
    for (int32_t k = 0; k < p->size % 4; k++) {
        y[k] = tte_add_one_s8_dsp(p, a[k], b[k], mask, i + k);
    }
}

#endif
