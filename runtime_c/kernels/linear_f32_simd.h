/** @file linear_f32_simd.h  The fully connected layer in f32, sixteen outputs at a time. */
#ifndef TTE_LINEAR_F32_SIMD_H
#define TTE_LINEAR_F32_SIMD_H

#include "tte/kernels/linear_f32.h"
#include "tte/simd/lanes.h"

/** Outputs j..j+15 of `rows` rows from x and y on, or as many as there are; w are those outputs' weights. */
TTE_INLINE void tte_linear_tile_f32(const tte_linear_f32_params *p, int32_t rows, int32_t j, const float *restrict x,
                                    const float *restrict w, const float *restrict b, float *restrict y)
{
    tte_f32x4 sums[2][TTE_LANES / 4] = {{{0.0f}}};
    for (int32_t l = 0; l < p->k; l++, w += TTE_LANES) {
        for (int32_t i = 0; i < rows; i++) {
            for (int32_t v = 0; v < TTE_LANES / 4; v++) {
                sums[i][v] += x[i * p->k + l] * ((const tte_f32x4 *)(const void *)w)[v];
            }
        }
    }
    const int32_t there = p->n - j < TTE_LANES ? p->n - j : TTE_LANES;
    for (int32_t i = 0; i < rows; i++) {
        for (int32_t c = 0; c < there; c++) {
            const float sum = sums[i][c / 4][c % 4] + (b ? b[j + c] : 0.0f);
            y[i * p->n + j + c] = sum < p->low ? p->low : sum > p->high ? p->high : sum;
        }
    }
}

/**
 * As tte_linear_f32, with its bits: a lane per output, and each sum in order of k. w is [blocks of 16 outputs][k][16],
 * the last block filled up with zeros (tte/layouts/lanes.py). Two rows share what is loaded of w.
 */
TTE_KERNEL tte_linear_f32_simd(const tte_linear_f32_params *p, const float *restrict x, const float *restrict w,
                               const float *restrict b, float *restrict y)
{
    for (int32_t j = 0; j < p->n; j += TTE_LANES, w += TTE_LANES * p->k) {
        int32_t i = 0;
        for (; i + 2 <= p->m; i += 2) {
            tte_linear_tile_f32(p, 2, j, x + i * p->k, w, b, y + i * p->n);
        }
        if (i < p->m) {
            tte_linear_tile_f32(p, 1, j, x + i * p->k, w, b, y + i * p->n);
        }
    }
}

#endif
