/** @file tick.h  The clock of training; y may lie on the clock. */
#ifndef TTE_TICK_H
#define TTE_TICK_H

#include "tte/tte.h"

typedef struct {
    int32_t size; /* 2 */
} tte_tick_s32_params;

/** (step, seed) becomes (step + 1, seed), in 32 bits. */
TTE_KERNEL tte_tick_s32(const tte_tick_s32_params *p, const int32_t *clock, int32_t *y)
{
    (void)p;
    y[1] = clock[1];
    y[0] = (int32_t)((uint32_t)clock[0] + 1u);
}

#endif
