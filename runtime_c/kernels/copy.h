/** @file copy.h  A copy, for a view that must have bytes of its own. */
#ifndef TTE_COPY_H
#define TTE_COPY_H

#include "tte/tte.h"

typedef struct { int32_t size; } tte_copy_f32_params;
typedef tte_copy_f32_params tte_copy_s8_params;

/** y = x. */
TTE_KERNEL tte_copy_f32(const tte_copy_f32_params *p, const float *x, float *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = x[i];
    }
}

/** y = x. */
TTE_KERNEL tte_copy_s8(const tte_copy_s8_params *p, const int8_t *x, int8_t *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = x[i];
    }
}

#endif
