/** @file linear_groups_i8mm.h  The fully connected layer of four-bit weights, two or four rows by sixteen outputs. */
#ifndef TTE_LINEAR_GROUPS_I8MM_H
#define TTE_LINEAR_GROUPS_I8MM_H

#include "tte/kernels/linear_groups_simd.h"
#include "tte/simd/i8mm.h"

/** Add q . w of sixteen columns, of which `there` exist, to `pairs` pairs of rows; the second row lies `next` on. */
TTE_INLINE void tte_linear_groups_sixteen(int32_t pairs, int32_t next, const int8_t *restrict q,
                                          const uint8_t *restrict w, int32_t there, tte_tile_s32 *dots)
{
    int8x16_t x0[2], x1[2];
    for (int32_t r = 0; r < pairs; r++) {
        x0[r] = tte_two_rows_s8(q + 2 * r * next, next, there < 8 ? there : 8);
        x1[r] = tte_two_rows_s8(q + 2 * r * next + 8, next, there < 8 ? 0 : there - 8);
    }
    for (int32_t v = 0; v < TTE_LANES / 2; v++) {
        const uint8x16_t codes = vld1q_u8(w + 16 * v);
        const int8x16_t w0 = vreinterpretq_s8_u8(vandq_u8(codes, vdupq_n_u8(15)));
        const int8x16_t w1 = vreinterpretq_s8_u8(vshrq_n_u8(codes, 4));
        for (int32_t r = 0; r < pairs; r++) {
            dots[r].of[v] = vmmlaq_s32(vmmlaq_s32(dots[r].of[v], x0[r], w0), x1[r], w1);
        }
    }
}

/** Bytes 2v and 2v + 1 of sixteen, twice. */
TTE_INLINE int32x4_t tte_two_of_u8(const uint8_t *bytes, int32_t v)
{
    const int32x4_t two = {bytes[2 * v], bytes[2 * v + 1], bytes[2 * v], bytes[2 * v + 1]};
    return two;
}

/** sums += step * (dots - zero * all) for `pairs` pairs of rows; all[i * groups] is row i's, the second's `next` on. */
TTE_INLINE void tte_linear_groups_add_mmla(int32_t pairs, int32_t next, tte_tile_s32 *sums, const tte_tile_s32 *dots,
                                           const uint8_t *step, const uint8_t *zero, const int32_t *all)
{
    for (int32_t v = 0; v < TTE_LANES / 2; v++) {
        const int32x4_t steps = tte_two_of_u8(step, v), zeros = tte_two_of_u8(zero, v);
        for (int32_t r = 0; r < pairs; r++) {
            const int32_t *a = all + 2 * r * next;
            const int32x4_t both = {a[0], a[0], a[next], a[next]};
            sums[r].of[v] = vmlaq_s32(sums[r].of[v], steps, vmlsq_s32(dots[r].of[v], zeros, both));
        }
    }
}

/** The sums of sixteen outputs of `rows` rows (1, 2 or 4) from q on; all[groups] of each row are its sums of q. */
TTE_INLINE void tte_linear_groups_mmla(const tte_linear_groups_u4_params *p, int32_t rows, const int8_t *restrict q,
                                       const uint8_t *restrict w, const uint8_t *restrict step,
                                       const uint8_t *restrict zero, const int32_t *restrict all, tte_tile_s32 *sums)
{
    const int32_t whole = p->k / 16 * 16, pairs = (rows + 1) / 2, next = rows > 1 ? p->k : 0;
    for (int32_t g = 0; g < p->groups; g++) {
        const int32_t end = (g + 1) * p->group < whole ? (g + 1) * p->group : whole;
        tte_tile_s32 dots[2] = {0};
        for (int32_t l = g * p->group; l < end; l += 16, w += 8 * TTE_LANES) {
            tte_linear_groups_sixteen(pairs, next, q + l, w, 16, dots);
        }
        if (whole < p->k && g == p->groups - 1) {
            tte_linear_groups_sixteen(pairs, next, q + whole, w, p->k - whole, dots);
        }
        tte_linear_groups_add_mmla(pairs, rows > 1 ? p->groups : 0, sums, dots, step + g * TTE_LANES,
                                   zero + g * TTE_LANES, all + g);
    }
}

/**
 * As tte_linear_groups_u4, with its bits; groups are multiples of 16. w is [blocks of 16 outputs][k by sixteens][16][8],
 * step and zero are [blocks][groups][16], all filled up with zeros, and so is by (tte/layouts/lanes.py).
 */
TTE_KERNEL tte_linear_groups_u4_i8mm(const tte_linear_groups_u4_params *p, const int8_t *restrict q,
                                     const float *restrict s, const uint8_t *restrict w, const uint8_t *restrict step,
                                     const uint8_t *restrict zero, const float *restrict by, const float *restrict b,
                                     float *restrict y, int8_t *restrict scratch)
{
    int32_t *all = (int32_t *)(void *)scratch;
    tte_group_sums(p, q, all);
    const int32_t block = (p->k + 15) / 16 * 8 * TTE_LANES, steps = p->groups * TTE_LANES;
    for (int32_t j = 0; j < p->n; j += TTE_LANES, w += block, step += steps, zero += steps) {
        const int32_t there = p->n - j < TTE_LANES ? p->n - j : TTE_LANES;
        for (int32_t i = 0, rows; i < p->m; i += rows) {
            tte_tile_s32 tiles[2] = {0};
            rows = p->m - i < 2 ? 1 : p->m - i < 4 ? 2 : 4;
            if (rows == 4) {
                tte_linear_groups_mmla(p, 4, q + i * p->k, w, step, zero, all + i * p->groups, tiles);
            } else if (rows == 2) {
                tte_linear_groups_mmla(p, 2, q + i * p->k, w, step, zero, all + i * p->groups, tiles);
            } else {
                tte_linear_groups_mmla(p, 1, q + i * p->k, w, step, zero, all + i * p->groups, tiles);
            }
            for (int32_t r = 0; r < rows; r++) {
                tte_s32x4 sums[TTE_LANES / 4];
                tte_tile_row(&tiles[r / 2], r % 2, sums);
                tte_linear_scaled(sums, s[i + r], by + j, b ? b + j : NULL, there, y + (i + r) * p->n + j);
            }
        }
    }
}

#endif
