/** @file gather.h  Rows of a table. */
#ifndef TTE_GATHER_H
#define TTE_GATHER_H

#include "tte/tte_chunk.h"

typedef struct { int32_t n, v, d; } tte_gather_f32_params;

/** y[n,d]: row ids[i] of table[v,d] as row i; an id outside 0..v-1 is the nearest one inside. */
TTE_KERNEL tte_gather_f32(const tte_gather_f32_params *p, const float *restrict table, const int32_t *restrict ids,
                          float *restrict y)
{
    for (int32_t i = 0; i < p->n; i++) {
        tte_copy_row_f32(table + (ptrdiff_t)tte_nearest_of(ids[i], p->v) * p->d, y + i * p->d, p->d);
    }
}

#endif
