/** @file softmax_dsp.h  Softmax along rows in LiteRT's fixed point, for Arm's DSP extension. */
#ifndef TTE_SOFTMAX_DSP_H
#define TTE_SOFTMAX_DSP_H

#include "tte/kernels/softmax.h"
#include "tte/simd/dsp.h"

/** The greatest of n >= 4 bytes; the last four overlap those before them. */
TTE_INLINE int32_t tte_softmax_dsp_max(const int8_t *x, int32_t n)
{
    int32_t max = tte_dsp_load4(x + n - 4);
    for (int32_t i = 0; i + 4 <= n; i += 4) {
        max = tte_dsp_max8(max, tte_dsp_load4(x + i));
    }
    const int32_t two = tte_dsp_max8(max, max >> 16), one = tte_dsp_max8(two, two >> 8);
    return (int8_t)one;
}

/** As tte_softmax_s8. Rounding x / 2^12 is multiplying by 2^20 and keeping the upper word; no x is negative. */
TTE_KERNEL tte_softmax_s8_dsp(const tte_softmax_s8_params *p, const int8_t *restrict x, const int32_t *restrict table,
                              int8_t *restrict y)
{
    for (int32_t row = 0; row < p->rows; row++, x += p->depth, y += p->depth) {
        const int32_t max = tte_softmax_dsp_max(x, p->depth);
        int32_t total = 0, bits;
        for (int32_t i = 0; i < p->depth; i++) {
            total = tte_dsp_smmlar(table[max - x[i]], 1 << 20, total);
        }
        const int32_t r = tte_reciprocal(total, &bits);
        for (int32_t i = 0; i < p->depth; i++) {
            const int32_t twice = tte_mul_q31(r, table[max - x[i]]) >> (bits + 22);
            y[i] = (int8_t)tte_dsp_ssat8(((twice + 1) >> 1) - 128);
        }
    }
}

#endif
