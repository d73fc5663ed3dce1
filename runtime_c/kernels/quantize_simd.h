/** @file quantize_simd.h  Reals as integers, four at a time. */
#ifndef TTE_QUANTIZE_SIMD_H
#define TTE_QUANTIZE_SIMD_H

#include "tte/kernels/quantize.h"
#include "tte/simd/lanes.h"

/** As tte_quantize_s8, with its bits, where ties go to even and there is no mask. */
TTE_KERNEL tte_quantize_s8_simd(const tte_quantize_s8_params *p, const float *x, int8_t *y)
{
    typedef int8_t four __attribute__((vector_size(4)));
    const tte_f32x4 zero = {0.0f, 0.0f, 0.0f, 0.0f}, high = zero + (float)(127 - p->zero), low = high - 255.0f;
    int32_t i = 0;
    for (; i + 4 <= p->size; i += 4) {
        const tte_f32x4 ratio = tte_load_f32x4(x + i) / p->scale, least = tte_either_f32x4(ratio < low, low, ratio);
        const tte_f32x4 within = tte_either_f32x4(least > high, high, least) + 12582912.0f; /* leaves no fraction */
        const four rounded = __builtin_convertvector((tte_s32x4)within - 0x4B400000 + p->zero, four);
        __builtin_memcpy(y + i, &rounded, sizeof rounded);
    }
    for (; i < p->size; i++) {
        y[i] = (int8_t)tte_clamp_s32(tte_round_even(x[i] / p->scale) + p->zero, -128, 127);
    }
}

#endif
