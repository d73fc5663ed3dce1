/** @file momentum.h  Momentum, of `size` elements; y may lie on m, and y on g or, with a clock, y1 on g. */
#ifndef TTE_MOMENTUM_H
#define TTE_MOMENTUM_H

#include "tte/tte_stepping.h"

typedef struct {
    int32_t size;
    float beta;
} tte_momentum_f32_params;

typedef struct {
    int32_t size;
    float beta;
    int32_t every;
} tte_momentum_every_f32_params;

/** y = beta * m + g. */
TTE_KERNEL tte_momentum_f32(const tte_momentum_f32_params *p, const float *m, const float *g, float *y, int32_t c)
{
    (void)c;
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = p->beta * m[i] + g[i];
    }
}

/** y = y1 = beta * m + g in each step number `every`; else y = m and y1 = 0. */
TTE_KERNEL tte_momentum_every_f32(const tte_momentum_every_f32_params *p, const float *m, const float *g,
                                  const int32_t *clock, float *y, float *y1, int32_t c)
{
    const int32_t due = tte_due(clock, p->every);
    (void)c;
    for (int32_t i = 0; i < p->size; i++) {
        const float moved = p->beta * m[i] + g[i];
        y[i] = due ? moved : m[i];
        y1[i] = due ? moved : 0.0f;
    }
}

#endif
