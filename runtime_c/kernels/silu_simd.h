/** @file silu_simd.h  The sigmoid linear unit, four at a time; y may lie on x. */
#ifndef TTE_SILU_SIMD_H
#define TTE_SILU_SIMD_H

#include "tte/kernels/silu.h"
#include "tte/simd/lanes.h"

/** As tte_silu_f32, with its bits. */
TTE_KERNEL tte_silu_f32_simd(const tte_silu_f32_params *p, const float *x, float *y)
{
    int32_t i = 0;
    for (; i + 4 <= p->size; i += 4) {
        const tte_f32x4 v = tte_load_f32x4(x + i);
        tte_store_f32x4(y + i, v / (1.0f + tte_exp_f32x4(-v)));
    }
    for (; i < p->size; i++) {
        y[i] = x[i] / (1.0f + tte_exp(-x[i]));
    }
}

#endif
