/** @file clamp.h  Values kept within a range in f32; y may lie on x. */
#ifndef TTE_CLAMP_H
#define TTE_CLAMP_H

#include "tte/tte.h"

typedef struct {
    int32_t size;
    float low, high;
} tte_clamp_f32_params;

/** y = min(max(x, low), high). */
TTE_KERNEL tte_clamp_f32(const tte_clamp_f32_params *p, const float *x, float *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = x[i] < p->low ? p->low : x[i] > p->high ? p->high : x[i];
    }
}

#endif
