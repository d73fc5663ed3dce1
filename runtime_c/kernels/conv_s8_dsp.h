/** @file conv_s8_dsp.h  Convolution in s8 without groups, for Arm's DSP extension: four pixels at a time. */
#ifndef TTE_CONV_S8_DSP_H
#define TTE_CONV_S8_DSP_H

#include "tte/kernels/conv_s8.h"
#include "tte/kernels/linear_s8_dsp.h"
#include "tte/simd/dsp_product.h"
#include "tte/simd/dsp_results.h"

typedef tte_conv_s8_params tte_pointwise_s8_params;

/** How the sums of this layer become results. */
TTE_INLINE tte_dsp_out tte_conv_dsp_out(const tte_conv_s8_params *p)
{
    return (tte_dsp_out){p->rounding, p->shift >= 2, p->zero_y, p->lo, p->hi};
}

/** Pairs of values in a patch: `runs` runs of k bytes, the ends of the runs that fill no word at the end. */
TTE_INLINE int32_t tte_dsp_pairs(int32_t runs, int32_t k)
{
    return runs * (k / 4) * 2 + (runs * (k % 4) + 1) / 2;
}

/** All channels of n <= lanes pixels, whose patches lie side by side in x; lanes is 4, 2 or 1. y[n,co] is result i on. */
TTE_INLINE void tte_dsp_pixels(const tte_dsp_out *o, const int32_t *x, int32_t pairs, int32_t lanes, const int32_t *w,
                               const int32_t *q, const tte_dsp_live *live, int8_t *y, int32_t n, int32_t co, int32_t i)
{
    const int32_t words = tte_dsp_words(o);
    for (int32_t j = 0; j < co; j += 2, q += 2 * words, w += pairs) {
        const int32_t *const qb = q + words;
        const tte_dsp_bias a = tte_dsp_bias_of(live, j, q), b = tte_dsp_bias_of(live, tte_min_s32(j + 1, co - 1), qb);
        const tte_dsp_sums s = lanes == 4 ? tte_dsp_product(x, w, pairs, a.start, b.start)
                               : lanes == 2 ? tte_dsp_product2(x, w, pairs, a.start, b.start)
                                            : tte_dsp_product1(x, w, pairs, a.start, b.start);
        tte_dsp_channel(o, (tte_dsp_sums4){s.a0, s.a1, s.a2, s.a3}, q, live, a.left, y + j, n, co, i + j);
        if (j + 1 < co) {
            tte_dsp_channel(o, (tte_dsp_sums4){s.b0, s.b1, s.b2, s.b3}, qb, live, b.left, y + j + 1, n, co, i + j + 1);
        }
    }
}

/** Write the words of k bytes at x, plus `offset`, as pairs into every lane-th word of `to`. */
TTE_INLINE void tte_dsp_widen(int32_t *to, int32_t lanes, const int8_t *x, int32_t k, int32_t offset)
{
    for (int32_t i = 0; i + 4 <= k; i += 4, to += 2 * lanes) {
        const int32_t v = tte_dsp_load4(x + i);
        to[0] = tte_dsp_even(offset, v);
        to[lanes] = tte_dsp_odd(offset, v);
    }
}

/** The same for four lanes, whose bytes lie `step` apart. */
TTE_INLINE void tte_dsp_widen4(int32_t *to, const int8_t *x, int32_t step, int32_t k, int32_t offset)
{
    for (int32_t i = 0; i + 4 <= k; i += 4, to += 8, x += 4) {
        const int32_t a = tte_dsp_load4(x), b = tte_dsp_load4(x + step);
        const int32_t c = tte_dsp_load4(x + 2 * step), d = tte_dsp_load4(x + 3 * step);
        to[0] = tte_dsp_even(offset, a);
        to[1] = tte_dsp_even(offset, b);
        to[2] = tte_dsp_even(offset, c);
        to[3] = tte_dsp_even(offset, d);
        to[4] = tte_dsp_odd(offset, a);
        to[5] = tte_dsp_odd(offset, b);
        to[6] = tte_dsp_odd(offset, c);
        to[7] = tte_dsp_odd(offset, d);
    }
}

/** Write a value to place i of the ends of runs, which begin at `ends`. */
TTE_INLINE void tte_dsp_put(int32_t *ends, int32_t lanes, int32_t i, int32_t value)
{
    ((int16_t *)(ends + i / 2 * lanes))[i % 2] = (int16_t)value;
}

/** The first multiple of 4 bytes in `scratch`, which holds 3 more than are used. */
TTE_INLINE int32_t *tte_dsp_aligned(int8_t *scratch)
{
    return (int32_t *)(void *)(scratch + (-(uintptr_t)scratch & 3));
}

/** `n` pixels of c channels at x as patches of one run. */
TTE_INLINE void tte_dsp_load_pixels(int32_t *to, int32_t lanes, const int8_t *x, int32_t n, int32_t c, int32_t zero)
{
    const int32_t offset = tte_dsp_twice(-zero);
    int32_t *const ends = to + c / 4 * 2 * lanes;
    if (n == 4) {
        tte_dsp_widen4(to, x, c, c, offset);
    }
    for (int32_t l = 0; l < n; l++) {
        if (n < 4) {
            tte_dsp_widen(to + l, lanes, x + l * c, c, offset);
        }
        for (int32_t i = 0; i < c % 4; i++) {
            tte_dsp_put(ends + l, lanes, i, x[l * c + c / 4 * 4 + i] - zero);
        }
    }
}

/**
 * As tte_conv_s8 for a filter of one pixel, stride 1, no padding: y[pixels,co] of x[pixels,c]. w and q as tte/layouts/dsp.py
 * lays them out. `patch` takes four pixels as s16 and 3 bytes more. y may lie on x if co <= c.
 */
TTE_INLINE void tte_dsp_pointwise(const tte_conv_s8_params *p, const int8_t *x, const int32_t *restrict w,
                                  const int32_t *restrict q, const tte_dsp_live *live, int8_t *y,
                                  int8_t *restrict patch)
{
    tte_mask_begin(live->mask, live->at, p->pixels * p->co);
    const tte_dsp_out o = tte_conv_dsp_out(p);
    int32_t *const pixels = tte_dsp_aligned(patch);
    const int32_t pairs = tte_dsp_pairs(1, p->c);
    int32_t i = 0;
    for (; i + 4 <= p->pixels; i += 4) {
        tte_dsp_load_pixels(pixels, 4, x + i * p->c, 4, p->c, p->zero_x);
        tte_dsp_pixels(&o, pixels, pairs, 4, w, q, live, y + i * p->co, 4, p->co, i * p->co);
    }
    const int32_t rest = p->pixels % 4, lanes = rest == 3 ? 4 : rest;
    if (rest > 0) {
        tte_dsp_load_pixels(pixels, lanes, x + i * p->c, rest, p->c, p->zero_x);
        tte_dsp_pixels(&o, pixels, pairs, lanes, w, q, live, y + i * p->co, rest, p->co, i * p->co);
    }
}

/** tte_dsp_pointwise; b and `mask` may be NULL. */
TTE_KERNEL tte_pointwise_s8_dsp(const tte_pointwise_s8_params *p, const int8_t *x, const int32_t *restrict w,
                                const int32_t *restrict b, const int32_t *restrict q, int8_t *y,
                                uint8_t *restrict mask, int8_t *restrict patch)
{
    tte_dsp_pointwise(p, x, w, q, &(const tte_dsp_live){b, mask, 0}, y, patch);
}

/** Fill the patch of output column ox value by value, zero for what lies outside x. */
TTE_INLINE void tte_dsp_load_border(const tte_conv_s8_params *p, const void *const *x, tte_span ky, int32_t ox,
                                    int32_t *to, int32_t lanes)
{
    const int32_t run = p->kw * p->c, words = run / 4 * 2, offset = tte_dsp_twice(-p->zero_x);
    const tte_span kx = tte_conv_columns(p, ox);
    int32_t *const ends = to + p->kh * words * lanes;
    for (int32_t i = 0; i < tte_dsp_pairs(p->kh, run); i++) {
        to[i * lanes] = 0;
    }
    for (int32_t i = ky.first; i < ky.last; i++) {
        const int8_t *row = (const int8_t *)x[i] + (ox * p->stride - p->left) * p->c;
        int32_t *const base = to + i * words * lanes;
        int32_t k = kx.first * p->c;
        if (p->c % 4 == 0) {
            tte_dsp_widen(base + k / 2 * lanes, lanes, row + k, kx.last * p->c - k, offset);
            continue;
        }
        for (; k < kx.last * p->c; k++) {
            if (k < run / 4 * 4) { /* bytes 0, 1, 2, 3 of a word: pairs (0, 2) and (1, 3) */
                tte_dsp_put(base + k / 4 * 2 * lanes + k % 2 * lanes, lanes, k / 2 % 2, row[k] - p->zero_x);
            } else {
                tte_dsp_put(ends, lanes, i * (run % 4) + k % 4, row[k] - p->zero_x);
            }
        }
    }
}

/** The patches of four output columns from ox, no part of which lies outside x. */
TTE_INLINE void tte_dsp_load_inside(const tte_conv_s8_params *p, const void *const *x, int32_t ox, int32_t *to)
{
    const int32_t run = p->kw * p->c, step = p->stride * p->c, offset = tte_dsp_twice(-p->zero_x);
    int32_t *const ends = to + p->kh * (run / 4) * 8;
    for (int32_t i = 0; i < p->kh; i++) {
        const int8_t *row = (const int8_t *)x[i] + (ox * p->stride - p->left) * p->c;
        tte_dsp_widen4(to + i * (run / 4) * 8, row, step, run, offset);
        for (int32_t l = 0; l < 4; l++) {
            for (int32_t k = 0; k < run % 4; k++) {
                tte_dsp_put(ends + l, 4, i * (run % 4) + k, row[l * step + run / 4 * 4 + k] - p->zero_x);
            }
        }
    }
}

/**
 * As tte_conv_s8 for cg = c and dilation 1. w and q as tte/layouts/dsp.py lays them out. `patch` takes what lies under the
 * filter for four columns, as s16, and 3 bytes more.
 */
TTE_INLINE void tte_dsp_conv(const tte_conv_s8_params *p, const void *const *x, tte_span ky,
                             const int32_t *restrict w, const int32_t *restrict q, const tte_dsp_live *live,
                             int8_t *restrict y, int8_t *restrict patch)
{
    tte_mask_begin(live->mask, live->at, p->ow * p->co);
    const tte_dsp_out o = tte_conv_dsp_out(p);
    int32_t *const pixels = tte_dsp_aligned(patch);
    const int32_t pairs = tte_dsp_pairs(p->kh, p->kw * p->c);
    int32_t ox = 0;
    for (; ox + 4 <= p->ow; ox += 4) {
        const int32_t left = ox * p->stride - p->left, right = left + 3 * p->stride + p->kw;
        if (left >= 0 && right <= p->w && ky.first == 0 && ky.last == p->kh) {
            tte_dsp_load_inside(p, x, ox, pixels);
        } else {
            for (int32_t l = 0; l < 4; l++) {
                tte_dsp_load_border(p, x, ky, ox + l, pixels + l, 4);
            }
        }
        tte_dsp_pixels(&o, pixels, pairs, 4, w, q, live, y + ox * p->co, 4, p->co, ox * p->co);
    }
    const int32_t rest = p->ow % 4, lanes = rest == 3 ? 4 : rest;
    if (rest > 0) {
        for (int32_t l = 0; l < rest; l++) {
            tte_dsp_load_border(p, x, ky, ox + l, pixels + l, lanes);
        }
        tte_dsp_pixels(&o, pixels, pairs, lanes, w, q, live, y + ox * p->co, rest, p->co, ox * p->co);
    }
}

/** What training adds to row r. */
TTE_INLINE tte_dsp_live tte_dsp_live_row(const tte_conv_s8_params *p, const int32_t *b, uint8_t *mask, int32_t r)
{
    return (tte_dsp_live){b, mask, r * p->ow * p->co};
}

/** tte_dsp_conv of row r; b and `mask` may be NULL. */
TTE_KERNEL tte_conv_s8_dsp(const tte_conv_s8_params *p, const void *const *x, tte_span ky, const int32_t *restrict w,
                           const int32_t *restrict b, const int32_t *restrict q, int8_t *restrict y,
                           uint8_t *restrict mask, int32_t r, int8_t *restrict patch)
{
    const tte_dsp_live live = tte_dsp_live_row(p, b, mask, r);
    tte_dsp_conv(p, x, ky, w, q, &live, y, patch);
}

/** As tte_conv_s8_dsp, `lanes` columns at a time. */
TTE_INLINE void tte_conv_lanes_dsp(const tte_conv_s8_params *p, const void *const *x, tte_span ky, const int32_t *w,
                                   const int32_t *q, const tte_dsp_live *live, int8_t *y, int8_t *patch,
                                   int32_t lanes)
{
    tte_mask_begin(live->mask, live->at, p->ow * p->co);
    const tte_dsp_out o = tte_conv_dsp_out(p);
    int32_t *const pixels = tte_dsp_aligned(patch);
    const int32_t pairs = tte_dsp_pairs(p->kh, p->kw * p->c);
    for (int32_t ox = 0; ox < p->ow; ox += lanes) {
        const int32_t n = p->ow - ox < lanes ? 1 : lanes;
        for (int32_t l = 0; l < n; l++) {
            tte_dsp_load_border(p, x, ky, ox + l, pixels + l, lanes);
        }
        tte_dsp_pixels(&o, pixels, pairs, lanes, w, q, live, y + ox * p->co, n, p->co, ox * p->co);
    }
}

/** As tte_conv_s8_dsp with half the patch: two columns at a time. */
TTE_KERNEL tte_conv2_s8_dsp(const tte_conv_s8_params *p, const void *const *x, tte_span ky, const int32_t *restrict w,
                            const int32_t *restrict b, const int32_t *restrict q, int8_t *restrict y,
                            uint8_t *restrict mask, int32_t r, int8_t *restrict patch)
{
    const tte_dsp_live live = tte_dsp_live_row(p, b, mask, r);
    tte_conv_lanes_dsp(p, x, ky, w, q, &live, y, patch, 2);
}

/** As tte_conv_s8_dsp with a quarter of the patch: one column at a time. */
TTE_KERNEL tte_conv1_s8_dsp(const tte_conv_s8_params *p, const void *const *x, tte_span ky, const int32_t *restrict w,
                            const int32_t *restrict b, const int32_t *restrict q, int8_t *restrict y,
                            uint8_t *restrict mask, int32_t r, int8_t *restrict patch)
{
    const tte_dsp_live live = tte_dsp_live_row(p, b, mask, r);
    tte_conv_lanes_dsp(p, x, ky, w, q, &live, y, patch, 1);
}

/** As tte_conv_s8_dsp for a 1x1 filter at stride 1: a fully connected layer for each pixel, without scratch. */
TTE_KERNEL tte_pixel_s8_dsp(const tte_conv_s8_params *p, const int8_t *restrict x, const int32_t *restrict w,
                            const int32_t *restrict b, const int32_t *restrict q, int8_t *restrict y,
                            uint8_t *restrict mask)
{
    const tte_linear_s8_params each = {
        .m = p->pixels, .n = p->co, .k = p->c, .zero_x = p->zero_x, .zero_y = p->zero_y,
        .lo = p->lo, .hi = p->hi, .rounding = p->rounding, .shift = p->shift,
    };
    tte_dsp_linear(&each, x, w, q, &(const tte_dsp_live){b, mask, 0}, y);
}

#endif
