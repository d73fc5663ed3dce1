/**
 * @file tte_chunk.h  Where the rows of a chunk of tokens lie in a sequence, bit for bit tte/shapes/chunk.py.
 * span = (start, count): row i of a chunk is position start + i, and rows from `count` on are padding.
 */
#ifndef TTE_CHUNK_H
#define TTE_CHUNK_H

#include "tte/tte.h"

/** The nearest of 0..n-1. */
TTE_INLINE int32_t tte_nearest_of(int64_t i, int32_t n)
{
    return i < 0 ? 0 : i < n ? (int32_t)i : n - 1;
}

/** Position of row i in a sequence of s. */
TTE_INLINE int32_t tte_position(const int32_t *span, int32_t i, int32_t s)
{
    return tte_nearest_of((int64_t)span[0] + i, s);
}

/** y = x, a row of d. */
TTE_INLINE void tte_copy_row_f32(const float *restrict x, float *restrict y, int32_t d)
{
    for (int32_t j = 0; j < d; j++) {
        y[j] = x[j];
    }
}

#endif
