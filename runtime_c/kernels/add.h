/** @file add.h  Sum of two tensors; y may lie on a or b. */
#ifndef TTE_ADD_H
#define TTE_ADD_H

#include "tte/tte.h"

typedef struct { int32_t size; } tte_add_f32_params;

/** y = a + b. */
TTE_KERNEL tte_add_f32(const tte_add_f32_params *p, const float *a, const float *b, float *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = a[i] + b[i];
    }
}

#endif
