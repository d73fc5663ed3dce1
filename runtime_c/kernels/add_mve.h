/** @file add_mve.h  Sum and difference of two s8 tensors on Helium, in LiteRT's fixed point; y may lie on a or b. */
#ifndef TTE_ADD_MVE_H
#define TTE_ADD_MVE_H

#include "tte/kernels/add.h"
#include "tte/simd/mve.h"

/** Half of eight values (x - zero) * 16 in units of the sum, the even or the odd ones; m and shift are constants. */
TTE_INLINE int32x4_t tte_add_mve_wide(int16x8_t x, int32_t odd, int32_t m, int32_t shift)
{
    if (m == 1 << 30 && shift == 0) { /* the larger scale, brought to its double: by half */
        return odd ? vshlltq_n_s16(x, 15) : vshllbq_n_s16(x, 15);
    }
    return tte_mve_scale(odd ? vshlltq_n_s16(x, 16) : vshllbq_n_s16(x, 16), m, shift);
}

/** n <= 8 results. */
TTE_INLINE void tte_add_mve_eight(const tte_add_s8_params *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t n)
{
    const int16x8_t va = vshlq_n_s16(vsubq_n_s16(tte_mve_load_s16(a, n), (int16_t)p->zero_a), 4);
    const int16x8_t vb = vshlq_n_s16(vsubq_n_s16(tte_mve_load_s16(b, n), (int16_t)p->zero_b), 4);
    int32x4_t sums[2];
    for (int32_t odd = 0; odd < 2; odd++) {
        const int32x4_t wide_a = tte_add_mve_wide(va, odd, p->m_a, p->shift_a);
        const int32x4_t wide_b = tte_add_mve_wide(vb, odd, p->m_b, p->shift_b);
        const int32x4_t sum = p->sign > 0 ? vaddq_s32(wide_a, wide_b) : vsubq_s32(wide_a, wide_b);
        sums[odd] = tte_mve_scale(sum, p->m_y, p->shift_y);
    }
    tte_mve_store_s8(y, sums[0], sums[1], p->zero_y, p->lo, p->hi, n);
}

/** As tte_add_s8, not by ONNX's rounding. */
TTE_KERNEL tte_add_s8_mve(const tte_add_s8_params *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    for (int32_t i = p->size / 8; i > 0; i--, a += 8, b += 8, y += 8) {
        tte_add_mve_eight(p, a, b, y, 8);
    }
    if (p->size % 8) {
        tte_add_mve_eight(p, a, b, y, p->size % 8);
    }
}

#endif
