/** @file quantize_rows_simd.h  Rows of reals as integers, four at a time. */
#ifndef TTE_QUANTIZE_ROWS_SIMD_H
#define TTE_QUANTIZE_ROWS_SIMD_H

#include "tte/kernels/quantize_rows.h"
#include "tte/simd/lanes.h"

/** The greatest |x| of k. */
TTE_INLINE float tte_row_most(const float *x, int32_t k)
{
    const tte_s32x4 size = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}; /* all bits but the sign */
    tte_f32x4 most = {0.0f, 0.0f, 0.0f, 0.0f};
    int32_t j = 0;
    for (; j + 4 <= k; j += 4) {
        const tte_f32x4 v = (tte_f32x4)((tte_s32x4)tte_load_f32x4(x + j) & size);
        most = tte_either_f32x4(v > most, v, most);
    }
    float found = 0.0f;
    for (int32_t c = 0; c < 4; c++) {
        found = most[c] > found ? most[c] : found;
    }
    for (; j < k; j++) {
        const float v = x[j] < 0.0f ? -x[j] : x[j];
        found = v > found ? v : found;
    }
    return found;
}

/** As tte_quantize_rows_s8, with its bits. */
TTE_KERNEL tte_quantize_rows_s8_simd(const tte_quantize_rows_s8_params *p, const float *restrict x, int8_t *restrict q,
                                     float *restrict s)
{
    typedef int8_t four __attribute__((vector_size(4)));
    for (int32_t i = 0; i < p->n; i++, x += p->k, q += p->k) {
        const float most = tte_row_most(x, p->k), by = tte_row_factor(most);
        int32_t j = 0;
        for (; j + 4 <= p->k; j += 4) {
            const tte_s32x4 bits = (tte_s32x4)(tte_load_f32x4(x + j) * by + 12582912.0f); /* leaves no fraction */
            const four rounded = __builtin_convertvector(bits - 0x4B400000, four);
            __builtin_memcpy(q + j, &rounded, sizeof rounded);
        }
        for (; j < p->k; j++) {
            q[j] = (int8_t)tte_round_even(x[j] * by);
        }
        s[i] = most / 127.0f;
    }
}

#endif
