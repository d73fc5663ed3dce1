/**
 * @file tte_codes.h  Rows of keys and values in few bits, with scales for each head, bit for bit tte/arith/codes.py.
 * 8 bits: a scale for each head. 4 bits: two codes to a byte, the lower first; a step and a least for each head.
 */
#ifndef TTE_CODES_H
#define TTE_CODES_H

#include "tte/tte_fixed.h"

/** What makes `size` the greatest code; next to nothing becomes 0. */
TTE_INLINE float tte_code_factor(float top, float size)
{
    return size > 1e-30f ? top / size : 0.0f;
}

/** codes[depth] and their scale of x[depth]. */
TTE_INLINE void tte_code_s8(const float *restrict x, int32_t depth, int8_t *restrict codes, float *restrict scale)
{
    float most = 0.0f;
    for (int32_t j = 0; j < depth; j++) {
        const float size = x[j] < 0.0f ? -x[j] : x[j];
        most = size > most ? size : most;
    }
    const float by = tte_code_factor(127.0f, most);
    for (int32_t j = 0; j < depth; j++) {
        codes[j] = (int8_t)tte_round_even(x[j] * by);
    }
    *scale = most / 127.0f;
}

/** codes[depth / 2] and their step and least of x[depth]. */
TTE_INLINE void tte_code_u4(const float *restrict x, int32_t depth, uint8_t *restrict codes, float *restrict scale)
{
    float least = x[0], most = x[0];
    for (int32_t j = 1; j < depth; j++) {
        least = x[j] < least ? x[j] : least;
        most = x[j] > most ? x[j] : most;
    }
    const float by = tte_code_factor(15.0f, most - least);
    for (int32_t j = 0; j < depth; j += 2) {
        const int32_t lower = tte_round_even((x[j] - least) * by), upper = tte_round_even((x[j + 1] - least) * by);
        codes[j / 2] = (uint8_t)(lower | upper << 4);
    }
    scale[0] = (most - least) / 15.0f;
    scale[1] = least;
}

/** y[rows, depth] = the reals of one of `heads` heads: codes and scale are those of its first row. */
TTE_INLINE void tte_reals_s8(const int8_t *restrict codes, const float *restrict scale, int32_t rows, int32_t heads,
                             int32_t depth, float *restrict y)
{
    for (int32_t i = 0; i < rows; i++, codes += heads * depth, scale += heads, y += depth) {
        for (int32_t j = 0; j < depth; j++) {
            y[j] = (float)codes[j] * *scale;
        }
    }
}

/** As tte_reals_s8, of four bits. */
TTE_INLINE void tte_reals_u4(const uint8_t *restrict codes, const float *restrict scale, int32_t rows, int32_t heads,
                             int32_t depth, float *restrict y)
{
    for (int32_t i = 0; i < rows; i++, codes += heads * depth / 2, scale += 2 * heads, y += depth) {
        for (int32_t j = 0; j < depth; j += 2) {
            y[j] = (float)(codes[j / 2] & 15) * scale[0] + scale[1];
            y[j + 1] = (float)(codes[j / 2] >> 4) * scale[0] + scale[1];
        }
    }
}

#endif
