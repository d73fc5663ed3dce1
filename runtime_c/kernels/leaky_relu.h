/** @file leaky_relu.h  The leaky rectifier in f32; y may lie on x. */
#ifndef TTE_LEAKY_RELU_H
#define TTE_LEAKY_RELU_H

#include "tte/tte.h"

typedef struct {
    int32_t size;
    float alpha;
} tte_leaky_relu_f32_params;

/** y = x for x >= 0, else alpha * x. */
TTE_KERNEL tte_leaky_relu_f32(const tte_leaky_relu_f32_params *p, const float *x, float *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = x[i] >= 0.0f ? x[i] : x[i] * p->alpha;
    }
}

#endif
