/** @file silu.h  The sigmoid linear unit; y may lie on x. */
#ifndef TTE_SILU_H
#define TTE_SILU_H

#include "tte/tte.h"
#include "tte/tte_math.h"

typedef struct { int32_t size; } tte_silu_f32_params;

/** y = x / (1 + e^-x). */
TTE_KERNEL tte_silu_f32(const tte_silu_f32_params *p, const float *x, float *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = x[i] / (1.0f + tte_exp(-x[i]));
    }
}

#endif
