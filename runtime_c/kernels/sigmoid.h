/** @file sigmoid.h  The logistic function in f32; y may lie on x. */
#ifndef TTE_SIGMOID_H
#define TTE_SIGMOID_H

#include "tte/tte.h"
#include "tte/tte_math.h"

typedef struct {
    int32_t size;
} tte_sigmoid_f32_params;

/** y = 1 / (1 + e^-x). */
TTE_KERNEL tte_sigmoid_f32(const tte_sigmoid_f32_params *p, const float *x, float *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = tte_sigmoid(x[i]);
    }
}

#endif
