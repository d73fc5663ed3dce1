/** @file accumulate.h  Sums of gradients over several steps, of `size` elements; y may lie on acc and y1 on g. */
#ifndef TTE_ACCUMULATE_H
#define TTE_ACCUMULATE_H

#include "tte/tte_stepping.h"

typedef struct {
    int32_t size, every;
    float share; /* 1 / every */
} tte_accumulate_f32_params;

/** y = 0 and y1 = (acc + g) * share in each step number `every`; else y = acc + g and y1 = 0. */
TTE_KERNEL tte_accumulate_f32(const tte_accumulate_f32_params *p, const float *acc, const float *g,
                              const int32_t *clock, float *y, float *y1, int32_t c)
{
    const int32_t due = tte_due(clock, p->every);
    (void)c;
    for (int32_t i = 0; i < p->size; i++) {
        const float total = acc[i] + g[i];
        y[i] = due ? 0.0f : total;
        y1[i] = due ? total * p->share : 0.0f;
    }
}

#endif
