/** @file conv_grad_w.h  The gradient of a convolution's weights. */
#ifndef TTE_CONV_GRAD_W_H
#define TTE_CONV_GRAD_W_H

#include "tte/tte.h"
#include "tte/tte_floats4.h"

typedef struct {
    int32_t h, w, k;          /* x, its channels, or the part of them that is taken */
    int32_t oh, ow, filters;  /* g; filters of y, or the part of them that is made */
    int32_t kh, kw;           /* filter */
    int32_t depthwise, pointwise;
    int32_t stride_y, stride_x, top, left, dilation_y, dilation_x;
    int32_t zero_x;
    int32_t g_pitch, x_pitch; /* elements from one pixel to the next */
} tte_conv_grad_w_params;

/** Element i of x as a float that counts from zero. */
TTE_INLINE float tte_grad_input(const tte_conv_grad_w_params *p, const void *x, int32_t s8, int32_t i)
{
    return s8 ? (float)(((const int8_t *)x)[i] - p->zero_x) : ((const float *)x)[i];
}

/** Elements i to i + 4. */
TTE_INLINE tte_floats4 tte_grad_input4(const tte_conv_grad_w_params *p, const void *x, int32_t s8, int32_t i)
{
    return (tte_floats4){tte_grad_input(p, x, s8, i), tte_grad_input(p, x, s8, i + 1),
                         tte_grad_input(p, x, s8, i + 2), tte_grad_input(p, x, s8, i + 3)};
}

/** y[4] = sums times the scale of filter j; a scale that is NULL is 1. */
TTE_INLINE void tte_grad_scaled(tte_floats4 sums, const float *scale, int32_t j, float *y)
{
    tte_store4(y, scale ? tte_times4(sums, tte_all4(scale[j])) : sums);
}

/** Pointwise, four filters and four channels of x. */
TTE_INLINE void tte_pointwise_tile(const tte_conv_grad_w_params *p, const float *restrict g, const void *x, int32_t s8,
                                   int32_t l, const float *restrict scale, float *restrict y)
{
    const tte_floats4 zero = tte_all4(0.0f);
    tte_floats4 s0 = zero, s1 = zero, s2 = zero, s3 = zero;
    for (int32_t i = 0; i < p->oh * p->ow; i++, g += p->g_pitch, l += p->x_pitch) {
        const tte_floats4 v = tte_grad_input4(p, x, s8, l);
        s0 = tte_add4(s0, g[0], v);
        s1 = tte_add4(s1, g[1], v);
        s2 = tte_add4(s2, g[2], v);
        s3 = tte_add4(s3, g[3], v);
    }
    tte_grad_scaled(s0, scale, 0, y);
    tte_grad_scaled(s1, scale, 1, y + p->k);
    tte_grad_scaled(s2, scale, 2, y + 2 * p->k);
    tte_grad_scaled(s3, scale, 3, y + 3 * p->k);
}

/** The rows (or columns) of g, first <= o < last, for which tap k reads what lies in x. */
TTE_INLINE tte_span tte_grad_inside(int32_t k, int32_t n, int32_t extent, int32_t pad, int32_t stride, int32_t dilation)
{
    const int32_t start = k * dilation - pad, last = (extent - 1 - start) / stride + 1;
    return (tte_span){start < 0 ? (stride - 1 - start) / stride : 0, extent <= start ? 0 : last < n ? last : n};
}

/** The sums for tap t of filter j and channels l.. of x, n (4 or 1) of them; if depthwise, filters j.. and these. */
TTE_INLINE tte_floats4 tte_grad_tap(const tte_conv_grad_w_params *p, const float *restrict g, const void *x, int32_t s8,
                                    int32_t t, int32_t j, int32_t l, int32_t n)
{
    const int32_t ky = t / p->kw, kx = t % p->kw;
    const tte_span ys = tte_grad_inside(ky, p->oh, p->h, p->top, p->stride_y, p->dilation_y);
    const tte_span xs = tte_grad_inside(kx, p->ow, p->w, p->left, p->stride_x, p->dilation_x);
    tte_floats4 sums = tte_all4(0.0f);
    for (int32_t oy = ys.first; oy < ys.last; oy++) {
        const int32_t row = (oy * p->stride_y - p->top + ky * p->dilation_y) * p->w - p->left + kx * p->dilation_x;
        for (int32_t ox = xs.first; ox < xs.last; ox++) {
            const float *by = g + (oy * p->ow + ox) * p->g_pitch + j;
            const int32_t at = (row + ox * p->stride_x) * p->x_pitch + l;
            if (n == 1) {
                sums.a += *by * tte_grad_input(p, x, s8, at);
            } else if (p->depthwise) {
                sums = tte_add4_each(sums, tte_load4(by), tte_grad_input4(p, x, s8, at));
            } else {
                sums = tte_add4(sums, *by, tte_grad_input4(p, x, s8, at));
            }
        }
    }
    return sums;
}

/** Filters `first` and more, tap by tap; y is that of filter 0. */
TTE_INLINE void tte_dense_grad_w(const tte_conv_grad_w_params *p, const float *restrict g, const void *x, int32_t s8,
                                 const float *restrict scale, int32_t first, float *restrict y)
{
    const int32_t taps = p->kh * p->kw;
    for (int32_t j = first; j < p->filters; j++) {
        for (int32_t t = 0; t < taps; t++) {
            float *to = y + (j * taps + t) * p->k;
            for (int32_t l = 0; l + 4 <= p->k; l += 4) {
                tte_grad_scaled(tte_grad_tap(p, g, x, s8, t, j, l, 4), scale, j, to + l);
            }
            for (int32_t l = p->k / 4 * 4; l < p->k; l++) {
                const float sum = tte_grad_tap(p, g, x, s8, t, j, l, 1).a;
                to[l] = scale ? sum * scale[j] : sum;
            }
        }
    }
}

/** One filter per channel. */
TTE_INLINE void tte_depthwise_grad_w(const tte_conv_grad_w_params *p, const float *restrict g, const void *x,
                                     int32_t s8, const float *restrict scale, float *restrict y)
{
    const int32_t taps = p->kh * p->kw;
    for (int32_t t = 0; t < taps; t++) {
        for (int32_t j = 0; j + 4 <= p->filters; j += 4) {
            const tte_floats4 sums = tte_grad_tap(p, g, x, s8, t, j, j, 4);
            const tte_floats4 scaled = scale ? tte_times4(sums, tte_load4(scale + j)) : sums;
            float *to = y + j * taps + t;
            to[0] = scaled.a, to[taps] = scaled.b, to[2 * taps] = scaled.c, to[3 * taps] = scaled.d;
        }
        for (int32_t j = p->filters / 4 * 4; j < p->filters; j++) {
            const float sum = tte_grad_tap(p, g, x, s8, t, j, j, 1).a;
            y[j * taps + t] = scale ? sum * scale[j] : sum;
        }
    }
}

TTE_INLINE void tte_grad_w(const tte_conv_grad_w_params *p, const float *restrict g, const void *x, int32_t s8,
                           const float *restrict scale, float *restrict y)
{
    if (p->depthwise) {
        tte_depthwise_grad_w(p, g, x, s8, scale, y);
        return;
    }
    const int32_t blocks = p->pointwise && p->k % 4 == 0 ? p->filters / 4 * 4 : 0;
    for (int32_t j = 0; j < blocks; j += 4) {
        for (int32_t l = 0; l < p->k; l += 4) {
            tte_pointwise_tile(p, g + j, x, s8, l, scale ? scale + j : NULL, y + j * p->k + l);
        }
    }
    tte_dense_grad_w(p, g, x, s8, scale, blocks, y);
}

/**
 * y[co,ky,kx,l] = scale[co] * sum over oy, ox, in this order, of g[oy,ox,co] * (x[iy,ix,l] - zero_x) where
 * iy = oy * stride - top + ky * dilation, and ix alike, if that lies in x; if depthwise, y[co,ky,kx] with l = co.
 * Filters are whole, whichever c they begin at.
 */
TTE_KERNEL tte_conv_grad_w_s8(const tte_conv_grad_w_params *p, const float *restrict g, const int8_t *restrict x,
                              const float *restrict scale, float *restrict y, int32_t c)
{
    (void)c;
    tte_grad_w(p, g, x, 1, scale, y);
}

/** As tte_conv_grad_w_s8, of floats, without zero_x and scale. */
TTE_KERNEL tte_conv_grad_w_f32(const tte_conv_grad_w_params *p, const float *restrict g, const float *restrict x,
                               float *restrict y, int32_t c)
{
    (void)c;
    tte_grad_w(p, g, x, 0, NULL, y);
}

#endif
