/** @file linear_rows_i8mm.h  The fully connected layer of s8 rows, two or four rows by sixteen outputs at a time. */
#ifndef TTE_LINEAR_ROWS_I8MM_H
#define TTE_LINEAR_ROWS_I8MM_H

#include "tte/kernels/linear_rows_simd.h"
#include "tte/simd/i8mm.h"

/** Add the products of `there` columns, at most eight, to `pairs` pairs of rows; the second row lies `next` on. */
TTE_INLINE void tte_linear_rows_eight(int32_t pairs, int32_t next, const int8_t *restrict q, const int8_t *restrict w,
                                      int32_t there, tte_tile_s32 *tiles)
{
    int8x16_t x[2];
    for (int32_t r = 0; r < pairs; r++) {
        x[r] = tte_two_rows_s8(q + 2 * r * next, next, there);
    }
    for (int32_t v = 0; v < TTE_LANES / 2; v++) {
        const int8x16_t weights = vld1q_s8(w + 16 * v);
        for (int32_t r = 0; r < pairs; r++) {
            tiles[r].of[v] = vmmlaq_s32(tiles[r].of[v], x[r], weights);
        }
    }
}

/** Outputs j..j+15 of `rows` rows (1, 2 or 4) from q, s and y on, or as many as there are. */
TTE_INLINE void tte_linear_rows_mmla(const tte_linear_rows_s8_params *p, int32_t rows, int32_t j,
                                     const int8_t *restrict q, const float *restrict s, const int8_t *restrict w,
                                     const float *restrict scale, const float *restrict b, float *restrict y)
{
    const int32_t whole = p->k / 8 * 8, pairs = (rows + 1) / 2, next = rows > 1 ? p->k : 0;
    tte_tile_s32 tiles[2] = {0};
    for (int32_t l = 0; l < whole; l += 8) {
        tte_linear_rows_eight(pairs, next, q + l, w + l * TTE_LANES, 8, tiles);
    }
    if (whole < p->k) {
        tte_linear_rows_eight(pairs, next, q + whole, w + whole * TTE_LANES, p->k - whole, tiles);
    }
    const int32_t there = p->n - j < TTE_LANES ? p->n - j : TTE_LANES;
    for (int32_t i = 0; i < rows; i++) {
        tte_s32x4 sums[TTE_LANES / 4];
        tte_tile_row(&tiles[i / 2], i % 2, sums);
        tte_linear_scaled(sums, s[i], scale, b, there, y + i * p->n);
    }
}

/**
 * As tte_linear_rows_s8, with its bits. w is [blocks of 16 outputs][k by eights][16][8], k and the last block filled up
 * with zeros, and so is scale (tte/layouts/lanes.py). Up to four rows share what is loaded of w.
 */
TTE_KERNEL tte_linear_rows_s8_i8mm(const tte_linear_rows_s8_params *p, const int8_t *restrict q,
                                   const float *restrict s, const int8_t *restrict w, const float *restrict scale,
                                   const float *restrict b, float *restrict y)
{
    const int32_t block = (p->k + 7) / 8 * 8 * TTE_LANES;
    for (int32_t j = 0; j < p->n; j += TTE_LANES, w += block) {
        const float *from = b ? b + j : NULL;
        int32_t i = 0;
        for (; i + 4 <= p->m; i += 4) {
            tte_linear_rows_mmla(p, 4, j, q + i * p->k, s + i, w, scale + j, from, y + i * p->n + j);
        }
        for (; i + 2 <= p->m; i += 2) {
            tte_linear_rows_mmla(p, 2, j, q + i * p->k, s + i, w, scale + j, from, y + i * p->n + j);
        }
        if (i < p->m) {
            tte_linear_rows_mmla(p, 1, j, q + i * p->k, s + i, w, scale + j, from, y + i * p->n + j);
        }
    }
}

#endif
