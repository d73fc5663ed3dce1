/** @file depthwise_s8_mve.h  Convolution in s8 with one filter per channel, on Helium: one row of the result. */
#ifndef TTE_DEPTHWISE_S8_MVE_H
#define TTE_DEPTHWISE_S8_MVE_H

#include "tte/kernels/depthwise_s8.h"
#include "tte/simd/mve.h"

/** Sums of a block of n <= 8 channels: those with even numbers, and those with odd ones. */
typedef struct { int32x4_t even, odd; } tte_depthwise_mve_sums;

/** The block's channels at *x, which moves on by `step`, a constant. */
TTE_INLINE int16x8_t tte_depthwise_mve_load(const int8_t **x, int32_t step, int32_t n)
{
    if (n == 8) {
        return tte_mve_step_s16(x, step);
    }
    const int16x8_t v = tte_mve_load_s16(*x, n);
    *x += step;
    return v;
}

/** Add 16-bit sums of products. The empty assembler keeps the next loads behind: registers are few. */
TTE_INLINE void tte_depthwise_mve_add(tte_depthwise_mve_sums *s, int16x8_t v, const int8_t **x, const int8_t **w)
{
    s->even = vaddq_s32(s->even, vmovlbq_s16(v));
    s->odd = vaddq_s32(s->odd, vmovltq_s16(v));
    __asm__("" : "+w"(s->even), "+w"(s->odd), "+r"(*x), "+r"(*w));
}

/** Sums of channels j to j + n at column `at`, where all taps lie in x; from biases that know zero_x. */
TTE_INLINE tte_depthwise_mve_sums tte_depthwise_mve_inside(const tte_conv_s8_params *p, const void *const *x, int32_t at,
                                                           int32_t j, int32_t n, const int8_t *w, const int32_t *q)
{
    const int32_t step = p->dilation * p->c;
    tte_depthwise_mve_sums s = {vldrwq_s32(q), vldrwq_s32(q + 4)};
    for (int32_t i = 0; i < p->kh; i++) {
        const int8_t *from = (const int8_t *)x[i] + at * p->c + j;
        for (int32_t k = 0; k < p->kw; k += 2) {
            int16x8_t v = vmulq_s16(tte_depthwise_mve_load(&from, step, n), tte_mve_step_s16(&w, n));
            if (k + 1 < p->kw) {
                v = vaddq_s16(v, vmulq_s16(tte_depthwise_mve_load(&from, step, n), tte_mve_step_s16(&w, n)));
            }
            tte_depthwise_mve_add(&s, v, &from, &w);
        }
    }
    return s;
}

/** The same where only rows ky and columns kx of the filter lie in x: biases know no zero_x, so that what is outside is 0. */
TTE_INLINE tte_depthwise_mve_sums tte_depthwise_mve_border(const tte_conv_s8_params *p, const void *const *x, tte_span ky,
                                                           tte_span kx, int32_t at, int32_t j, int32_t n,
                                                           const int8_t *w, const int32_t *q)
{
    const int32_t step = p->dilation * p->c;
    tte_depthwise_mve_sums s = {vldrwq_s32(q + 8), vldrwq_s32(q + 12)};
    int16x8_t all = vdupq_n_s16(0); /* sums of weights: as many as fit 16 bits, see tte/mve.py */
    for (int32_t i = ky.first; i < ky.last; i++) {
        const int8_t *from = (const int8_t *)x[i] + at * p->c + kx.first * step + j;
        const int8_t *weights = w + (i * p->kw + kx.first) * n;
        int32_t k = kx.last - kx.first;
        for (; k > 1; k -= 2) {
            const int16x8_t a = tte_depthwise_mve_load(&from, step, n), c = tte_mve_step_s16(&weights, n);
            const int16x8_t b = tte_depthwise_mve_load(&from, step, n), d = tte_mve_step_s16(&weights, n);
            all = vaddq_s16(vaddq_s16(all, c), d);
            tte_depthwise_mve_add(&s, vaddq_s16(vmulq_s16(a, c), vmulq_s16(b, d)), &from, &weights);
        }
        if (k) {
            const int16x8_t a = tte_depthwise_mve_load(&from, step, n), c = tte_mve_step_s16(&weights, n);
            all = vaddq_s16(all, c);
            tte_depthwise_mve_add(&s, vmulq_s16(a, c), &from, &weights);
        }
    }
    s.even = vmlaq_n_s32(s.even, vmovlbq_s16(all), -p->zero_x);
    s.odd = vmlaq_n_s32(s.odd, vmovltq_s16(all), -p->zero_x);
    return s;
}

/** Channels j to j + n <= j + 8 of one pixel. */
TTE_INLINE void tte_depthwise_mve_eight(const tte_conv_s8_params *p, const void *const *x, tte_span ky, tte_span kx,
                                        int32_t at, int32_t j, int32_t n, const int8_t *w, const int32_t *q, int8_t *y,
                                        int32_t inside)
{
    tte_depthwise_mve_sums s = inside ? tte_depthwise_mve_inside(p, x, at, j, n, w, q)
                                      : tte_depthwise_mve_border(p, x, ky, kx, at, j, n, w, q);
    q += 16;
    s.even = tte_mve_finish(s.even, &q, p->rounding, p->shift);
    s.odd = tte_mve_finish(s.odd, &q, p->rounding, p->shift);
    tte_mve_store_s8(y + j, s.even, s.odd, p->zero_y, p->lo, p->hi, n);
}

/** All channels of one pixel. */
TTE_INLINE void tte_depthwise_mve_pixel(const tte_conv_s8_params *p, const void *const *x, tte_span ky, tte_span kx,
                                        int32_t at, const int8_t *w, const int32_t *q, int8_t *y, int32_t inside)
{
    const int32_t taps = p->kh * p->kw;
    int32_t j = 0;
    for (; j + 8 <= p->c; j += 8, w += 8 * taps, q += 32) {
        tte_depthwise_mve_eight(p, x, ky, kx, at, j, 8, w, q, y, inside);
    }
    if (j < p->c) {
        tte_depthwise_mve_eight(p, x, ky, kx, at, j, p->c % 8, w, q, y, inside);
    }
}

/**
 * As tte_conv_s8 for cg = 1 and co = c. Products of s8 with s8 other than -128 fit 16 bits in pairs; their sums have 32.
 * w and q as tte/mve.py lays them out.
 */
TTE_KERNEL tte_depthwise_s8_mve(const tte_depthwise_s8_params *p, const void *const *x, tte_span ky,
                                const int8_t *restrict w, const int32_t *restrict q, int8_t *restrict y)
{
    for (int32_t ox = 0; ox < p->ow; ox++) {
        const tte_span kx = tte_conv_columns(p, ox);
        const int32_t at = ox * p->stride - p->left;
        if (ky.first == 0 && ky.last == p->kh && kx.first == 0 && kx.last == p->kw) {
            tte_depthwise_mve_pixel(p, x, ky, kx, at, w, q, y + ox * p->co, 1);
        } else {
            tte_depthwise_mve_pixel(p, x, ky, kx, at, w, q, y + ox * p->co, 0);
        }
    }
}

#endif
