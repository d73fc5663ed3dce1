/** @file lanes.h  Vectors that gcc and clang turn into SSE or NEON by themselves; each lane has the bits of a scalar. */
#ifndef TTE_LANES_H
#define TTE_LANES_H

#include "tte/tte.h"

#define TTE_LANES 16 /* outputs computed at a time: those of tte/layouts/lanes.py */

/** Four floats at any address of a float, and four integers. */
typedef float tte_f32x4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t tte_s32x4 __attribute__((vector_size(16), aligned(4), may_alias));

/** The four floats from x on. */
TTE_INLINE tte_f32x4 tte_load_f32x4(const float *x)
{
    return *(const tte_f32x4 *)(const void *)x;
}

/** Write four floats from y on. */
TTE_INLINE void tte_store_f32x4(float *y, tte_f32x4 x)
{
    *(tte_f32x4 *)(void *)y = x;
}

/** Write the first `there` of sixteen floats from y on. */
TTE_INLINE void tte_store_lanes(float *y, const tte_f32x4 *x, int32_t there)
{
    if (there >= TTE_LANES) {
        for (int32_t v = 0; v < TTE_LANES / 4; v++) {
            tte_store_f32x4(y + 4 * v, x[v]);
        }
        return;
    }
    for (int32_t c = 0; c < there; c++) {
        y[c] = x[c / 4][c % 4];
    }
}

/** yes where `which` is all ones, no where it is 0. */
TTE_INLINE tte_f32x4 tte_either_f32x4(tte_s32x4 which, tte_f32x4 yes, tte_f32x4 no)
{
    return (tte_f32x4)((which & (tte_s32x4)yes) | (~which & (tte_s32x4)no));
}

/** tte_exp of each lane, with its bits. */
TTE_INLINE tte_f32x4 tte_exp_f32x4(tte_f32x4 x)
{
    const tte_f32x4 zero = {0.0f, 0.0f, 0.0f, 0.0f}, infinite = zero + __builtin_inff();
    const tte_s32x4 small = x < -87.0f, large = x > 88.7f;
    const tte_f32x4 within = tte_either_f32x4(small | large, zero, x);
    const tte_f32x4 n = within * 1.44269504f + 12582912.0f - 12582912.0f;
    const tte_f32x4 r = within - n * 0.693359375f - n * -0.000212194440f;
    tte_f32x4 p = r * 0.00139465043f + 0.00836918782f;
    p = p * r + 0.0416662619f;
    p = p * r + 0.166665152f;
    p = p * r + 0.5f;
    const tte_f32x4 y = p * (r * r) + r + 1.0f;
    const tte_s32x4 power = __builtin_convertvector(n, tte_s32x4), half = power >> 1;
    const tte_f32x4 whole = y * (tte_f32x4)((127 + half) << 23) * (tte_f32x4)((127 + power - half) << 23);
    return tte_either_f32x4(small, zero, tte_either_f32x4(large, infinite, whole));
}

#endif
