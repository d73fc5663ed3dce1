/** @file gelu.h  The Gaussian error linear unit; y may lie on x. */
#ifndef TTE_GELU_H
#define TTE_GELU_H

#include "tte/tte.h"
#include "tte/tte_math.h"

typedef struct {
    int32_t size;
    int32_t tanh; /* the form: by tanh, else by erf */
} tte_gelu_f32_params;

/** y = x / 2 * (1 + erf(x / sqrt(2))), or x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))). */
TTE_KERNEL tte_gelu_f32(const tte_gelu_f32_params *p, const float *x, float *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        const float v = x[i];
        const float t = p->tanh ? tte_tanh(0.797884561f * (v + 0.044715f * (v * v * v))) : tte_erf(v * 0.707106781f);
        y[i] = v * 0.5f * (1.0f + t);
    }
}

#endif
