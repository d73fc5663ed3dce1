/** @file add_mve.h  Sum and difference of two s8 tensors on Helium; y may lie on a or b. */
#ifndef TTE_ADD_MVE_H
#define TTE_ADD_MVE_H

#include "tte/kernels/add.h"
#include "tte/simd/mve.h"

/** Half of eight values x * 16 in units of the sum, the even or the odd ones; m and shift are constants. */
TTE_INLINE int32x4_t tte_add_mve_wide(int16x8_t x, int32_t odd, int32_t m, int32_t shift)
{
    if (m == 1 << 30 && shift == 0) { /* the larger scale, brought to its double: by half */
        return odd ? vshlltq_n_s16(x, 15) : vshllbq_n_s16(x, 15);
    }
    return tte_mve_scale(odd ? vshlltq_n_s16(x, 16) : vshllbq_n_s16(x, 16), m, shift);
}

#define TTE_ADD_MVE_EACH(op, a, b, c, d) op " s0, " a "\n\t" op " s1, " b "\n\t" op " s2, " c "\n\t" op " s3, " d "\n\t"
#define TTE_ADD_MVE_REAL(op)                                                             \
    TTE_ADD_MVE_EACH("vcvt.f32.s32", "s0", "s1", "s2", "s3")                             \
    "vcvt.f32.s32 s4, s4\n\tvcvt.f32.s32 s5, s5\n\tvcvt.f32.s32 s6, s6\n\tvcvt.f32.s32 s7, s7\n\t" \
    TTE_ADD_MVE_EACH("vmul.f32", "s0, %[a]", "s1, %[a]", "s2, %[a]", "s3, %[a]")         \
    "vmul.f32 s4, s4, %[b]\n\tvmul.f32 s5, s5, %[b]\n\tvmul.f32 s6, s6, %[b]\n\tvmul.f32 s7, s7, %[b]\n\t" \
    TTE_ADD_MVE_EACH(op, "s0, s4", "s1, s5", "s2, s6", "s3, s7")                         \
    TTE_ADD_MVE_EACH("vdiv.f32", "s0, %[y]", "s1, %[y]", "s2, %[y]", "s3, %[y]")         \
    TTE_ADD_MVE_EACH("vcvtn.s32.f32", "s0", "s1", "s2", "s3")

/** Four sums by ONNX's rounding, of values without zero points; in scalar registers, as tte_mve_round_even. */
TTE_INLINE int32x4_t tte_add_mve_onnx(const tte_add_s8_params *p, int32x4_t a, int32x4_t b)
{
    register int32x4_t x __asm__("q0") = a;
    register int32x4_t z __asm__("q1") = b;
    if (p->sign > 0) {
        __asm__(TTE_ADD_MVE_REAL("vadd.f32")
                : "+w"(x), "+w"(z) : [a] "t"(p->scale_a), [b] "t"(p->scale_b), [y] "t"(p->scale_y));
    } else {
        __asm__(TTE_ADD_MVE_REAL("vsub.f32")
                : "+w"(x), "+w"(z) : [a] "t"(p->scale_a), [b] "t"(p->scale_b), [y] "t"(p->scale_y));
    }
    return x;
}

/** Four sums in LiteRT's fixed point, of the even or odd ones of values without zero points. */
TTE_INLINE int32x4_t tte_add_mve_fixed(const tte_add_s8_params *p, int16x8_t a, int16x8_t b, int32_t odd)
{
    const int32x4_t wide_a = tte_add_mve_wide(vshlq_n_s16(a, 4), odd, p->m_a, p->shift_a);
    const int32x4_t wide_b = tte_add_mve_wide(vshlq_n_s16(b, 4), odd, p->m_b, p->shift_b);
    return tte_mve_scale(p->sign > 0 ? vaddq_s32(wide_a, wide_b) : vsubq_s32(wide_a, wide_b), p->m_y, p->shift_y);
}

/** n <= 8 results. */
TTE_INLINE void tte_add_mve_eight(const tte_add_s8_params *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t n)
{
    const int16x8_t x = vsubq_n_s16(tte_mve_load_s16(a, n), (int16_t)p->zero_a);
    const int16x8_t z = vsubq_n_s16(tte_mve_load_s16(b, n), (int16_t)p->zero_b);
    int32x4_t even, odd;
    if (p->onnx) {
        even = tte_add_mve_onnx(p, vmovlbq_s16(x), vmovlbq_s16(z));
        odd = tte_add_mve_onnx(p, vmovltq_s16(x), vmovltq_s16(z));
    } else {
        even = tte_add_mve_fixed(p, x, z, 0);
        odd = tte_add_mve_fixed(p, x, z, 1);
    }
    tte_mve_store_s8(y, even, odd, p->zero_y, p->lo, p->hi, n);
}

/** As tte_add_s8. */
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
