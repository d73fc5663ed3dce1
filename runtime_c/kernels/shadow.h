/** @file shadow.h  What a clamp to s8 took off a few channels, put back into the sums. y may be the sums. */
#ifndef TTE_SHADOW_H
#define TTE_SHADOW_H

#include "tte/tte.h"
#include "tte/tte_fixed.h"

typedef struct {
    int32_t m, n, k, h;
    float scale;
} tte_shadow_s32_params;

/**
 * y[m,n] = sums + sum over h of (r - clamp(r, -128, 127)) * w[h,n], where r = x[m, channels[h]] / scale, to the nearest
 * integer, ties to even, clamped to +-32767. 256 channels * 2^15 * 2^7 = 2^30.
 */
TTE_KERNEL tte_shadow_s32(const tte_shadow_s32_params *p, const int32_t *sums, const float *restrict x,
                          const int8_t *restrict w, const int32_t *restrict channels, int32_t *y)
{
    for (int32_t i = 0; i < p->m; i++, sums += p->n, x += p->k, y += p->n) {
        for (int32_t j = 0; j < p->n; j++) {
            y[j] = sums[j];
        }
        for (int32_t l = 0; l < p->h; l++) {
            const int32_t r = tte_round_even_within(x[channels[l]] / p->scale, 32767.0f);
            const int32_t rest = r - tte_clamp_s32(r, -128, 127);
            for (int32_t j = 0; rest != 0 && j < p->n; j++) {
                y[j] += rest * w[l * p->n + j];
            }
        }
    }
}

#endif
