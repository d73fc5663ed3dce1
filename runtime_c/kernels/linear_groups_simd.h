/** @file linear_groups_simd.h  The fully connected layer of four-bit weights, sixteen outputs at a time. */
#ifndef TTE_LINEAR_GROUPS_SIMD_H
#define TTE_LINEAR_GROUPS_SIMD_H

#include "tte/kernels/linear_groups.h"
#include "tte/kernels/linear_rows_simd.h"

/** sums = q . w of eight columns, of which `there` exist, added to those of `rows` rows. */
TTE_INLINE void tte_linear_groups_eight(int32_t rows, int32_t k, const int8_t *restrict q, const uint8_t *restrict w,
                                        int32_t there, tte_s32x4 (*sums)[TTE_LANES / 4])
{
    for (int32_t i = 0; i < rows; i++) {
        const tte_s8x16 x0 = tte_spread_s8(q + i * k, there < 4 ? there : 4);
        const tte_s8x16 x1 = tte_spread_s8(q + i * k + 4, there < 4 ? 0 : there - 4);
        for (int32_t v = 0; v < TTE_LANES / 4; v++) {
            sums[i][v] = tte_dot8_u4(sums[i][v], tte_load_s8x16(w + 16 * v), x0, x1);
        }
    }
}

/** sums += step * (dots - zero * all) for sixteen outputs. */
TTE_INLINE void tte_linear_groups_add(tte_s32x4 *sums, const tte_s32x4 *dots, const uint8_t *step, const uint8_t *zero,
                                      int32_t all)
{
    typedef uint8_t four __attribute__((vector_size(4)));
    for (int32_t v = 0; v < TTE_LANES / 4; v++) {
        four steps, zeros;
        __builtin_memcpy(&steps, step + 4 * v, sizeof steps);
        __builtin_memcpy(&zeros, zero + 4 * v, sizeof zeros);
        sums[v] += __builtin_convertvector(steps, tte_s32x4)
                   * (dots[v] - __builtin_convertvector(zeros, tte_s32x4) * all);
    }
}

/** The sums of sixteen outputs of `rows` rows from q on; all[groups] of each row are its sums of q. */
TTE_INLINE void tte_linear_groups_sums(const tte_linear_groups_u4_params *p, int32_t rows, const int8_t *restrict q,
                                       const uint8_t *restrict w, const uint8_t *restrict step,
                                       const uint8_t *restrict zero, const int32_t *restrict all,
                                       tte_s32x4 (*sums)[TTE_LANES / 4])
{
    const int32_t whole = p->k / 8 * 8;
    for (int32_t g = 0; g < p->groups; g++) {
        const int32_t end = (g + 1) * p->group < whole ? (g + 1) * p->group : whole;
        tte_s32x4 dots[2][TTE_LANES / 4] = {{{0}}};
        for (int32_t l = g * p->group; l < end; l += 8, w += 4 * TTE_LANES) {
            tte_linear_groups_eight(rows, p->k, q + l, w, 8, dots);
        }
        if (whole < p->k && g == p->groups - 1) {
            tte_linear_groups_eight(rows, p->k, q + whole, w, p->k - whole, dots);
        }
        for (int32_t i = 0; i < rows; i++) {
            tte_linear_groups_add(sums[i], dots[i], step + g * TTE_LANES, zero + g * TTE_LANES, all[i * p->groups + g]);
        }
    }
}

/** all[m, groups] = the sum of q over each group. */
TTE_INLINE void tte_group_sums(const tte_linear_groups_u4_params *p, const int8_t *restrict q, int32_t *restrict all)
{
    for (int32_t i = 0; i < p->m; i++) {
        for (int32_t g = 0; g < p->groups; g++) {
            const int32_t end = g + 1 < p->groups ? (g + 1) * p->group : p->k;
            int32_t sum = 0;
            for (int32_t l = g * p->group; l < end; l++) {
                sum += q[i * p->k + l];
            }
            all[i * p->groups + g] = sum;
        }
    }
}

/**
 * As tte_linear_groups_u4, with its bits. w is [blocks of 16 outputs][k by eights][16][4], step and zero are
 * [blocks][groups][16], all filled up with zeros, and so is by (tte/layouts/lanes.py). Two rows share what is loaded of w.
 */
TTE_KERNEL tte_linear_groups_u4_simd(const tte_linear_groups_u4_params *p, const int8_t *restrict q,
                                     const float *restrict s, const uint8_t *restrict w, const uint8_t *restrict step,
                                     const uint8_t *restrict zero, const float *restrict by, const float *restrict b,
                                     float *restrict y, int8_t *restrict scratch)
{
    int32_t *all = (int32_t *)(void *)scratch;
    tte_group_sums(p, q, all);
    const int32_t block = (p->k + 7) / 8 * 4 * TTE_LANES, steps = p->groups * TTE_LANES;
    for (int32_t j = 0; j < p->n; j += TTE_LANES, w += block, step += steps, zero += steps) {
        const int32_t there = p->n - j < TTE_LANES ? p->n - j : TTE_LANES;
        for (int32_t i = 0, rows; i < p->m; i += rows) {
            tte_s32x4 sums[2][TTE_LANES / 4] = {{{0}}};
            rows = p->m - i < 2 ? 1 : 2;
            if (rows == 2) {
                tte_linear_groups_sums(p, 2, q + i * p->k, w, step, zero, all + i * p->groups, sums);
            } else {
                tte_linear_groups_sums(p, 1, q + i * p->k, w, step, zero, all + i * p->groups, sums);
            }
            for (int32_t r = 0; r < rows; r++) {
                tte_linear_scaled(sums[r], s[i + r], by + j, b ? b + j : NULL, there, y + (i + r) * p->n + j);
            }
        }
    }
}

#endif
