/** @file pool_dsp.h  Pooling in s8, for Arm's DSP extension: four channels at a time, at least four channels. */
#ifndef TTE_POOL_DSP_H
#define TTE_POOL_DSP_H

#include "tte/kernels/average_pool.h"
#include "tte/kernels/max_pool.h"
#include "tte/simd/dsp.h"

/** Where the four channels from j on begin; the last ones overlap those before them. */
TTE_INLINE int32_t tte_pool_dsp_first(int32_t j, int32_t c) { return j + 4 <= c ? j : c - 4; }

/** As tte_average_pool_s8, for windows of at most 255 elements, whose sums fit 16 bits. */
TTE_KERNEL tte_average_pool_s8_dsp(const tte_average_pool_s8_params *p, const void *const *x, tte_span ky,
                                   int8_t *restrict y)
{
    for (int32_t ox = 0; ox < p->ow; ox++, y += p->c) {
        const int32_t at = ox * p->stride - p->left;
        const tte_span kx = tte_pool_columns(at, p->kw, p->w);
        const int32_t count = p->count ? p->count : (ky.last - ky.first) * (kx.last - kx.first);
        for (int32_t j = 0; j < p->c; j += 4) {
            const int32_t first = tte_pool_dsp_first(j, p->c);
            int32_t even = 0, odd = 0; /* sums of channels 0 and 2, 1 and 3 */
            for (int32_t i = ky.first; i < ky.last; i++) {
                const int8_t *from = (const int8_t *)x[i] + (at + kx.first) * p->c + first;
                for (int32_t k = kx.first; k < kx.last; k++, from += p->c) {
                    const int32_t v = tte_dsp_load4(from);
                    even = tte_dsp_even(even, v);
                    odd = tte_dsp_odd(odd, v);
                }
            }
            y[first] = tte_average(p, (int16_t)even, count, NULL, 0);
            y[first + 1] = tte_average(p, (int16_t)odd, count, NULL, 0);
            y[first + 2] = tte_average(p, even >> 16, count, NULL, 0);
            y[first + 3] = tte_average(p, odd >> 16, count, NULL, 0);
        }
    }
}

/** As tte_max_pool_s8. */
TTE_KERNEL tte_max_pool_s8_dsp(const tte_max_pool_s8_params *p, const void *const *x, tte_span ky, int8_t *restrict y)
{
    const int32_t lo = tte_dsp_fourfold(p->lo), hi = tte_dsp_fourfold(p->hi);
    for (int32_t ox = 0; ox < p->ow; ox++, y += p->c) {
        const int32_t at = ox * p->stride - p->left;
        const tte_span kx = tte_pool_columns(at, p->kw, p->w);
        for (int32_t j = 0; j < p->c; j += 4) {
            const int32_t first = tte_pool_dsp_first(j, p->c);
            int32_t max = lo;
            for (int32_t i = ky.first; i < ky.last; i++) {
                const int8_t *from = (const int8_t *)x[i] + (at + kx.first) * p->c + first;
                for (int32_t k = kx.first; k < kx.last; k++, from += p->c) {
                    max = tte_dsp_max8(max, tte_dsp_load4(from));
                }
            }
            const int32_t found = p->hi < 127 ? tte_dsp_min8(max, hi) : max;
            __builtin_memcpy(y + first, &found, sizeof found);
        }
    }
}

#endif
