/** @file i8mm.h  Arm's products of two rows of eight bytes with two more (smmla), over tiles of sixteen outputs. */
#ifndef TTE_I8MM_H
#define TTE_I8MM_H

#include "tte/simd/lanes.h"
#include <arm_neon.h>

/** Sums of two rows with sixteen outputs: of each pair of outputs the first row's two, then the second row's. */
typedef struct { int32x4_t of[TTE_LANES / 2]; } tte_tile_s32;

/** The bytes x[0..there-1] of a row and of the one `next` bytes on, there <= 8 and a constant; zeros follow them. */
TTE_INLINE int8x16_t tte_two_rows_s8(const int8_t *x, int32_t next, int32_t there)
{
    int64_t rows[2] = {0, 0};
    __builtin_memcpy(&rows[0], x, (size_t)there);
    __builtin_memcpy(&rows[1], x + next, (size_t)there);
    return vreinterpretq_s8_s64(vld1q_s64(rows));
}

/** The sums of one of the rows, in the order of the outputs. */
TTE_INLINE void tte_tile_row(const tte_tile_s32 *tile, int32_t second, tte_s32x4 *sums)
{
    for (int32_t v = 0; v < TTE_LANES / 4; v++) {
        const int64x2_t a = vreinterpretq_s64_s32(tile->of[2 * v]), b = vreinterpretq_s64_s32(tile->of[2 * v + 1]);
        sums[v] = (tte_s32x4)(second ? vzip2q_s64(a, b) : vzip1q_s64(a, b));
    }
}

#endif
