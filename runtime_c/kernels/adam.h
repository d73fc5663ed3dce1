/** @file adam.h  Adam, of `size` elements; y may lie on m, y1 on v and y2 on g. Source: tte/ops/adam.py. */
#ifndef TTE_ADAM_H
#define TTE_ADAM_H

#include "tte/tte_stepping.h"

typedef struct {
    int32_t size;
    float beta1, beta2, eps;
    int32_t every;
} tte_adam_f32_params;

/** y = m', y1 = v' and y2 the direction in each step number `every`; else y = m, y1 = v and y2 = 0. */
TTE_KERNEL tte_adam_f32(const tte_adam_f32_params *p, const float *m, const float *v, const float *g,
                        const int32_t *clock, float *y, float *y1, float *y2, int32_t c)
{
    const int32_t due = tte_due(clock, p->every);
    const uint32_t t = (uint32_t)clock[0] / (uint32_t)p->every + 1u;
    const float up1 = 1.0f / (1.0f - tte_power(p->beta1, t)), up2 = 1.0f / (1.0f - tte_power(p->beta2, t));
    (void)c;
    for (int32_t i = 0; i < p->size; i++) {
        const float mean = p->beta1 * m[i] + (1.0f - p->beta1) * g[i];
        const float square = p->beta2 * v[i] + (1.0f - p->beta2) * g[i] * g[i];
        y[i] = due ? mean : m[i];
        y1[i] = due ? square : v[i];
        y2[i] = due ? mean * up1 / (__builtin_sqrtf(square * up2) + p->eps) : 0.0f;
    }
}

#endif
