/** @file depthwise_s8_mve.h  Convolution in s8 with one filter per channel, on Helium: one row of the result. */
#ifndef TTE_DEPTHWISE_S8_MVE_H
#define TTE_DEPTHWISE_S8_MVE_H

#include "tte/kernels/depthwise_s8.h"
#include "tte/simd/mve.h"

/** A block of n <= 8 channels: sums of those with even numbers and of those with odd ones, and sums of weights. */
typedef struct {
    int32x4_t even, odd;
    int16x8_t weights;
} tte_depthwise_mve_sums;

/* One tap of eight channels: its values, its weights and perhaps their sum, the product; then 16 bits become 32. */
#define TTE_DW_NEAR(t) "vldrb.s16 %q[" t "], [%[x]], %[step]\n\t"
#define TTE_DW_FAR(t) "vldrb.s16 %q[" t "], [%[x]]\n\tadd %[x], %[x], %[step]\n\t"
#define TTE_DW_COUNT "vadd.i16 %q[all], %q[all], %q[u]\n\t"
#define TTE_DW_TAP(load, count, t) \
    load(t) "vldrb.s16 %q[u], [%[w]], #8\n\t" count "vmul.i16 %q[" t "], %q[" t "], %q[u]\n\t"
#define TTE_DW_WIDEN                                               \
    "vmovlb.s16 %q[u], %q[t]\n\tvadd.i32 %q[even], %q[even], %q[u]\n\t" \
    "vmovlt.s16 %q[t], %q[t]\n\tvadd.i32 %q[odd], %q[odd], %q[t]\n\t"
#define TTE_DW_ONE(load, count) TTE_DW_TAP(load, count, "t") TTE_DW_WIDEN
#define TTE_DW_TWO(load, count) \
    TTE_DW_TAP(load, count, "t") TTE_DW_TAP(load, count, "v") "vadd.i16 %q[t], %q[t], %q[v]\n\t" TTE_DW_WIDEN
#define TTE_DW_RUN(text, step_in)                                                              \
    __asm__(text                                                                               \
            : [even] "+w"(s->even), [odd] "+w"(s->odd), [all] "+w"(s->weights), [x] "+l"(*x), [w] "+l"(*w), \
            [t] "=&w"(t), [u] "=&w"(u), [v] "=&w"(v) : [step] step_in(step))

/**
 * Add the products of `taps` taps, one or two, of a block of n channels; x and w move on. Two products fit 16 bits, as
 * no weight is -128. Where `count`, the weights are summed too: tte/layouts/mve.py sees that 16 bits hold them.
 */
TTE_INLINE void tte_depthwise_mve_taps(tte_depthwise_mve_sums *s, const int8_t **x, const int8_t **w, int32_t step,
                                       int32_t n, int32_t taps, int32_t count)
{
    int16x8_t t, u, v;
    if (n < 8) {
        u = tte_mve_load_s16(*w, n);
        t = vmulq_s16(tte_mve_load_s16(*x, n), u);
        if (taps > 1) {
            v = tte_mve_load_s16(*w + n, n);
            t = vaddq_s16(t, vmulq_s16(tte_mve_load_s16(*x + step, n), v));
            u = vaddq_s16(u, v);
        }
        s->weights = vaddq_s16(s->weights, u);
        s->even = vaddq_s32(s->even, vmovlbq_s16(t));
        s->odd = vaddq_s32(s->odd, vmovltq_s16(t));
        *x += taps * step;
        *w += taps * n;
    } else if (step < 128) {
        if (taps > 1 && count) {
            TTE_DW_RUN(TTE_DW_TWO(TTE_DW_NEAR, TTE_DW_COUNT), "i");
        } else if (taps > 1) {
            TTE_DW_RUN(TTE_DW_TWO(TTE_DW_NEAR, ""), "i");
        } else if (count) {
            TTE_DW_RUN(TTE_DW_ONE(TTE_DW_NEAR, TTE_DW_COUNT), "i");
        } else {
            TTE_DW_RUN(TTE_DW_ONE(TTE_DW_NEAR, ""), "i");
        }
    } else if (taps > 1 && count) {
        TTE_DW_RUN(TTE_DW_TWO(TTE_DW_FAR, TTE_DW_COUNT), "r");
    } else if (taps > 1) {
        TTE_DW_RUN(TTE_DW_TWO(TTE_DW_FAR, ""), "r");
    } else if (count) {
        TTE_DW_RUN(TTE_DW_ONE(TTE_DW_FAR, TTE_DW_COUNT), "r");
    } else {
        TTE_DW_RUN(TTE_DW_ONE(TTE_DW_FAR, ""), "r");
    }
}

/** Sums of channels j to j + n at column `at`, where all taps lie in x; from biases that know zero_x. */
TTE_INLINE tte_depthwise_mve_sums tte_depthwise_mve_inside(const tte_conv_s8_params *p, const void *const *x,
                                                           int32_t at, int32_t j, int32_t n, const int8_t *w,
                                                           const int32_t *q)
{
    tte_depthwise_mve_sums s = {vldrwq_s32(q), vldrwq_s32(q + 4), vdupq_n_s16(0)};
    for (int32_t i = 0; i < p->kh; i++) {
        const int8_t *from = tte_mve_ready((const int8_t *)x[i] + at * p->c + j);
        for (int32_t k = 0; k < p->kw; k += 2) {
            tte_depthwise_mve_taps(&s, &from, &w, p->dilation * p->c, n, tte_min_s32(2, p->kw - k), 0);
        }
    }
    return s;
}

/** The same where only rows ky and columns kx of the filter lie in x; from biases that know no zero_x. */
TTE_INLINE tte_depthwise_mve_sums tte_depthwise_mve_border(const tte_conv_s8_params *p, const void *const *x,
                                                           tte_span ky, tte_span kx, int32_t at, int32_t j, int32_t n,
                                                           const int8_t *w, const int32_t *q)
{
    const int32_t step = p->dilation * p->c;
    tte_depthwise_mve_sums s = {vldrwq_s32(q + 8), vldrwq_s32(q + 12), vdupq_n_s16(0)};
    for (int32_t i = ky.first; i < ky.last; i++) {
        const int8_t *from = tte_mve_ready((const int8_t *)x[i] + at * p->c + kx.first * step + j);
        const int8_t *weights = w + (i * p->kw + kx.first) * n;
        for (int32_t k = (kx.last - kx.first) / 2; k > 0; k--) {
            tte_depthwise_mve_taps(&s, &from, &weights, step, n, 2, 1);
        }
        if ((kx.last - kx.first) % 2) {
            tte_depthwise_mve_taps(&s, &from, &weights, step, n, 1, 1);
        }
    }
    s.even = vmlaq_n_s32(s.even, vmovlbq_s16(s.weights), -p->zero_x);
    s.odd = vmlaq_n_s32(s.odd, vmovltq_s16(s.weights), -p->zero_x);
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
 * As tte_conv_s8 for cg = 1 and co = c. Two products of s8 with s8 other than -128 fit 16 bits; sums have 32.
 * w and q as tte/layouts/mve.py lays them out.
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
