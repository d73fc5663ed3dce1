/** @file conv_s8_mve.h  Convolution in s8 without groups, on Helium: one row of the result. */
#ifndef TTE_CONV_S8_MVE_H
#define TTE_CONV_S8_MVE_H

#include "tte/kernels/conv_s8.h"
#include "tte/simd/mve.h"

typedef tte_conv_s8_params tte_pointwise_s8_params;

/** n <= 8 channels of one pixel of y; w and q move on. */
TTE_INLINE void tte_conv_mve_eight(const tte_conv_s8_params *p, const tte_mve_pixels *x, int32_t runs, int32_t k,
                                   const int8_t **w, const int32_t **q, int8_t *y, int32_t n)
{
    const int32x4_t even = tte_mve_four_s8(x, runs, k, w, q, (n + 1) / 2, p->rounding, p->shift);
    const int32x4_t odd = n > 1 ? tte_mve_four_s8(x, runs, k, w, q, n / 2, p->rounding, p->shift) : even;
    tte_mve_store_s8(y, even, odd, p->zero_y, p->lo, p->hi, n);
}

/** All channels of one pixel of y: at x[i] + at lie `runs` runs of k bytes. */
TTE_INLINE void tte_conv_mve_pixel(const tte_conv_s8_params *p, const void *const *x, int32_t at, int32_t runs,
                                   int32_t k, const int8_t *w, const int32_t *q, int8_t *y)
{
    const tte_mve_pixels pixels = tte_mve_hold(x, at, runs, k);
    for (int32_t j = p->co / 8; j > 0; j--, y += 8) {
        tte_conv_mve_eight(p, &pixels, runs, k, &w, &q, y, 8);
    }
    if (p->co % 8) {
        tte_conv_mve_eight(p, &pixels, runs, k, &w, &q, y, p->co % 8);
    }
}

/** As tte_conv_s8 for a filter of one pixel that never reaches outside x; w and q as tte/layouts/mve.py lays them out. */
TTE_KERNEL tte_pointwise_s8_mve(const tte_pointwise_s8_params *p, const void *const *x, tte_span ky,
                                const int8_t *restrict w, const int32_t *restrict q, int8_t *restrict y)
{
    (void)ky;
    for (int32_t ox = 0; ox < p->ow; ox++) {
        tte_conv_mve_pixel(p, x, ox * p->stride * p->c, 1, p->c, w, q, y + ox * p->co);
    }
}

/** Copy the pixels under the filter, zero_x for those outside x. */
TTE_INLINE void tte_conv_mve_patch(const tte_conv_s8_params *p, const void *const *x, tte_span ky, int32_t ox,
                                   int8_t *patch)
{
    const tte_span kx = tte_conv_columns(p, ox);
    for (int32_t i = 0; i < p->kh; i++, patch += p->kw * p->c) {
        if (i < ky.first || i >= ky.last) {
            tte_mve_fill_s8(patch, (int8_t)p->zero_x, p->kw * p->c);
            continue;
        }
        const int8_t *row = (const int8_t *)x[i] + (ox * p->stride - p->left) * p->c;
        tte_mve_fill_s8(patch, (int8_t)p->zero_x, kx.first * p->c);
        if (p->dilation == 1) {
            tte_mve_copy_s8(patch + kx.first * p->c, row + kx.first * p->c, (kx.last - kx.first) * p->c);
        } else {
            for (int32_t k = kx.first; k < kx.last; k++) {
                tte_mve_copy_s8(patch + k * p->c, row + k * p->dilation * p->c, p->c);
            }
        }
        tte_mve_fill_s8(patch + kx.last * p->c, (int8_t)p->zero_x, (p->kw - kx.last) * p->c);
    }
}

/**
 * As tte_conv_s8 for cg = c. A run of pixels under the filter is read where it lies, if it lies inside x and its end is
 * the end of a vector or of the filter; else from a copy in `patch`, kh * kw * c bytes.
 * w and q as tte/layouts/mve.py lays them out, zero_x in the biases.
 */
TTE_KERNEL tte_conv_s8_mve(const tte_conv_s8_params *p, const void *const *x, tte_span ky, const int8_t *restrict w,
                           const int32_t *restrict q, int8_t *restrict y, int8_t *restrict patch)
{
    const int32_t run = p->kw * p->c;
    const int32_t direct = p->dilation == 1 && (p->kh == 1 || run % 16 == 0) && ky.first == 0 && ky.last == p->kh;
    const void *const copy[1] = {patch};
    for (int32_t ox = 0; ox < p->ow; ox++) {
        const int32_t at = ox * p->stride - p->left;
        if (direct && at >= 0 && at + p->kw <= p->w) {
            tte_conv_mve_pixel(p, x, at * p->c, p->kh, run, w, q, y + ox * p->co);
        } else {
            tte_conv_mve_patch(p, x, ky, ox, patch);
            tte_conv_mve_pixel(p, copy, 0, 1, p->kh * run, w, q, y + ox * p->co);
        }
    }
}

#endif
