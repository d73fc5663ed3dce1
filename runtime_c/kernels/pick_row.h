/** @file pick_row.h  The last row of a chunk. */
#ifndef TTE_PICK_ROW_H
#define TTE_PICK_ROW_H

#include "tte/tte_chunk.h"

typedef struct { int32_t n, d; } tte_pick_row_f32_params;

/** y[1,d] = row span[1] - 1 of x[n,d], or the nearest one that there is. */
TTE_KERNEL tte_pick_row_f32(const tte_pick_row_f32_params *p, const float *restrict x, const int32_t *restrict span,
                            float *restrict y)
{
    tte_copy_row_f32(x + tte_nearest_of((int64_t)span[1] - 1, p->n) * p->d, y, p->d);
}

#endif
