/** @file hard_swish.h  Hard swish in f32; y may lie on x. */
#ifndef TTE_HARD_SWISH_H
#define TTE_HARD_SWISH_H

#include "tte/tte.h"

typedef struct {
    int32_t size;
    int32_t onnx; /* the order of operations */
} tte_hard_swish_f32_params;

/** y = x * min(max(x + 3, 0), 6) / 6, or x * min(max(x / 6 + 1/2, 0), 1). */
TTE_KERNEL tte_hard_swish_f32(const tte_hard_swish_f32_params *p, const float *x, float *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        const float gate = p->onnx ? x[i] * (1.0f / 6.0f) + 0.5f : x[i] + 3.0f, top = p->onnx ? 1.0f : 6.0f;
        const float clamped = gate < 0.0f ? 0.0f : gate > top ? top : gate;
        y[i] = p->onnx ? x[i] * clamped : x[i] * clamped / 6.0f;
    }
}

#endif
