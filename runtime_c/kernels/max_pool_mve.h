/** @file max_pool_mve.h  Maximum pooling in s8 on Helium: one row of the result. */
#ifndef TTE_MAX_POOL_MVE_H
#define TTE_MAX_POOL_MVE_H

#include "tte/kernels/max_pool.h"
#include "tte/simd/mve.h"

/** As tte_max_pool_s8. */
TTE_KERNEL tte_max_pool_s8_mve(const tte_max_pool_s8_params *p, const void *const *x, tte_span ky, int8_t *restrict y)
{
    for (int32_t ox = 0; ox < p->ow; ox++, y += p->c) {
        const int32_t at = ox * p->stride - p->left;
        const tte_span kx = tte_pool_columns(at, p->kw, p->w);
        for (int32_t j = 0; j < p->c; j += 16) {
            const mve_pred16_t lanes = vctp8q((uint32_t)(p->c - j));
            int8x16_t max = vdupq_n_s8((int8_t)p->lo);
            for (int32_t i = ky.first; i < ky.last; i++) {
                const int8_t *from = (const int8_t *)x[i] + (at + kx.first) * p->c + j;
                for (int32_t k = kx.last - kx.first; k > 0; k--, from += p->c) {
                    max = vmaxq_s8(max, vldrbq_z_s8(from, lanes));
                }
            }
            vstrbq_p_s8(y + j, vminq_s8(max, vdupq_n_s8((int8_t)p->hi)), lanes);
        }
    }
}

#endif
