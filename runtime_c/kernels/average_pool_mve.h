/** @file average_pool_mve.h  Average pooling in s8 on Helium, in LiteRT's integers: one row of the result. */
#ifndef TTE_AVERAGE_POOL_MVE_H
#define TTE_AVERAGE_POOL_MVE_H

#include "tte/kernels/average_pool.h"
#include "tte/simd/mve.h"

/** x / count, ties away from zero, for |x| <= 2^15 and count <= 256; per = 2^31 / count, rounded up. */
TTE_INLINE int32x4_t tte_average_mve(int32x4_t x, int32_t count, uint32_t per)
{
    const uint32x4_t twice = vreinterpretq_u32_s32(vshlq_n_s32(vaddq_n_s32(vabsq_s32(x), count / 2), 1));
    const int32x4_t y = vreinterpretq_s32_u32(vmulhq_u32(twice, vdupq_n_u32(per))), sign = vshrq_n_s32(x, 31);
    return vsubq_s32(veorq_s32(y, sign), sign);
}

/** n <= 8 channels from j on of the window at rows `ky` and columns `kx` from `at` on. */
TTE_INLINE void tte_average_mve_eight(const tte_average_pool_s8_params *p, const void *const *x, tte_span ky,
                                      tte_span kx, int32_t at, int32_t j, int32_t count, uint32_t per, int8_t *y,
                                      int32_t n)
{
    int16x8_t sum = vdupq_n_s16(0);
    for (int32_t i = ky.first; i < ky.last; i++) {
        const int8_t *from = (const int8_t *)x[i] + (at + kx.first) * p->c + j;
        for (int32_t k = kx.last - kx.first; k > 0; k--, from += p->c) {
            sum = vaddq_s16(sum, tte_mve_load_s16(from, n));
        }
    }
    const int32x4_t even = tte_average_mve(vmovlbq_s16(sum), count, per);
    tte_mve_store_s8(y + j, even, tte_average_mve(vmovltq_s16(sum), count, per), 0, p->lo, p->hi, n);
}

/** As tte_average_pool_s8, for windows of at most 256 elements, whose sums fit 16 bits. */
TTE_KERNEL tte_average_pool_s8_mve(const tte_average_pool_s8_params *p, const void *const *x, tte_span ky,
                                   int8_t *restrict y)
{
    for (int32_t ox = 0; ox < p->ow; ox++, y += p->c) {
        const int32_t at = ox * p->stride - p->left;
        const tte_span kx = tte_pool_columns(at, p->kw, p->w);
        const int32_t count = p->count ? p->count : (ky.last - ky.first) * (kx.last - kx.first);
        const uint32_t per = (0x80000000u + (uint32_t)count - 1) / (uint32_t)count;
        int32_t j = 0;
        for (; j + 8 <= p->c; j += 8) {
            tte_average_mve_eight(p, x, ky, kx, at, j, count, per, y, 8);
        }
        if (j < p->c) {
            tte_average_mve_eight(p, x, ky, kx, at, j, count, per, y, p->c % 8);
        }
    }
}

#endif
