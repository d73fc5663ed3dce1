/** @file linear_rows_simd.h  The fully connected layer of s8 rows, sixteen outputs at a time. */
#ifndef TTE_LINEAR_ROWS_SIMD_H
#define TTE_LINEAR_ROWS_SIMD_H

#include "tte/kernels/linear_rows.h"
#include "tte/simd/dots.h"

/** y = f32(sum) * (s * scale) + b for the first `there` of sixteen outputs; scale has sixteen, b may be NULL. */
TTE_INLINE void tte_linear_scaled(const tte_s32x4 *sums, float s, const float *restrict scale, const float *restrict b,
                                  int32_t there, float *restrict y)
{
    tte_f32x4 reals[TTE_LANES / 4];
    for (int32_t v = 0; v < TTE_LANES / 4; v++) {
        reals[v] = __builtin_convertvector(sums[v], tte_f32x4) * (s * tte_load_f32x4(scale + 4 * v));
    }
    tte_store_lanes(y, reals, there);
    for (int32_t c = 0; c < there; c++) {
        y[c] += b ? b[c] : 0.0f;
    }
}

/** Add the products of `there` columns, at most four, to the sums of `rows` rows. */
TTE_INLINE void tte_linear_rows_four(int32_t rows, int32_t k, const int8_t *restrict q, const int8_t *restrict w,
                                     int32_t there, tte_s32x4 (*sums)[TTE_LANES / 4])
{
    for (int32_t i = 0; i < rows; i++) {
        const tte_s8x16 x = tte_spread_s8(q + i * k, there);
        for (int32_t v = 0; v < TTE_LANES / 4; v++) {
            sums[i][v] = tte_dot4_s8(sums[i][v], tte_load_s8x16(w + 16 * v), x);
        }
    }
}

/** Outputs j..j+15 of `rows` rows from q, s and y on, or as many as there are; w and scale are those outputs'. */
TTE_INLINE void tte_linear_rows_tile(const tte_linear_rows_s8_params *p, int32_t rows, int32_t j,
                                     const int8_t *restrict q, const float *restrict s, const int8_t *restrict w,
                                     const float *restrict scale, const float *restrict b, float *restrict y)
{
    const int32_t whole = p->k / 4 * 4;
    tte_s32x4 sums[2][TTE_LANES / 4] = {{{0}}};
    for (int32_t l = 0; l < whole; l += 4) {
        tte_linear_rows_four(rows, p->k, q + l, w + l * TTE_LANES, 4, sums);
    }
    if (whole < p->k) {
        tte_linear_rows_four(rows, p->k, q + whole, w + whole * TTE_LANES, p->k - whole, sums);
    }
    const int32_t there = p->n - j < TTE_LANES ? p->n - j : TTE_LANES;
    for (int32_t i = 0; i < rows; i++) {
        tte_linear_scaled(sums[i], s[i], scale, b, there, y + i * p->n);
    }
}

/**
 * As tte_linear_rows_s8, with its bits. w is [blocks of 16 outputs][k by fours][16][4], k and the last block filled up
 * with zeros, and so is scale (tte/layouts/lanes.py). Two rows share what is loaded of w.
 */
TTE_KERNEL tte_linear_rows_s8_simd(const tte_linear_rows_s8_params *p, const int8_t *restrict q,
                                   const float *restrict s, const int8_t *restrict w, const float *restrict scale,
                                   const float *restrict b, float *restrict y)
{
    const int32_t block = (p->k + 3) / 4 * 4 * TTE_LANES;
    for (int32_t j = 0; j < p->n; j += TTE_LANES, w += block) {
        const float *from = b ? b + j : NULL;
        int32_t i = 0;
        for (; i + 2 <= p->m; i += 2) {
            tte_linear_rows_tile(p, 2, j, q + i * p->k, s + i, w, scale + j, from, y + i * p->n + j);
        }
        if (i < p->m) {
            tte_linear_rows_tile(p, 1, j, q + i * p->k, s + i, w, scale + j, from, y + i * p->n + j);
        }
    }
}

#endif
