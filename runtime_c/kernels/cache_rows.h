/** @file cache_rows.h  New rows of a cache; y may lie on the cache, and then only those are written. */
#ifndef TTE_CACHE_ROWS_H
#define TTE_CACHE_ROWS_H

#include "tte/tte_chunk.h"

typedef struct { int32_t n, s, d; } tte_cache_rows_f32_params;

/** y[s,d] = cache, but row start + i is row i of x[n,d], for i < count; rows outside of the cache are dropped. */
TTE_KERNEL tte_cache_rows_f32(const tte_cache_rows_f32_params *p, const float *cache, const float *restrict x,
                              const int32_t *restrict span, float *y)
{
    for (int32_t i = 0; y != cache && i < p->s * p->d; i++) {
        y[i] = cache[i];
    }
    for (int32_t i = 0; i < p->n && i < span[1]; i++) {
        const int64_t at = (int64_t)span[0] + i;
        if (at >= 0 && at < p->s) {
            tte_copy_row_f32(x + i * p->d, y + at * p->d, p->d);
        }
    }
}

#endif
