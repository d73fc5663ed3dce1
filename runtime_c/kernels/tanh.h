/** @file tanh.h  The hyperbolic tangent in f32; y may lie on x. */
#ifndef TTE_TANH_H
#define TTE_TANH_H

#include "tte/tte.h"
#include "tte/tte_math.h"

typedef struct {
    int32_t size;
} tte_tanh_f32_params;

/** y = tanh(x). */
TTE_KERNEL tte_tanh_f32(const tte_tanh_f32_params *p, const float *x, float *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = tte_tanh(x[i]);
    }
}

#endif
