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

/** What of g a tap reads in x: rows ys, pixels xs of each. Pointwise that is all, as one row. */
typedef struct { tte_span ys, xs; } tte_grad_area;

TTE_INLINE tte_grad_area tte_grad_area_of(const tte_conv_grad_w_params *p, int32_t t)
{
    if (p->pointwise) {
        return (tte_grad_area){{0, 1}, {0, p->oh * p->ow}};
    }
    return (tte_grad_area){tte_taken(t / p->kw, p->oh, p->h, p->top, p->stride_y, p->dilation_y),
                           tte_taken(t % p->kw, p->ow, p->w, p->left, p->stride_x, p->dilation_x)};
}

/** The element of x, channel 0, that tap t reads for pixel (oy, ox) of g. */
TTE_INLINE int32_t tte_grad_read(const tte_conv_grad_w_params *p, int32_t t, int32_t oy, int32_t ox)
{
    const int32_t iy = oy * p->stride_y - p->top + t / p->kw * p->dilation_y;
    return (iy * p->w + ox * p->stride_x - p->left + t % p->kw * p->dilation_x) * p->x_pitch;
}

/** Tap t: four filters, j.., and four channels of x, l.. */
TTE_INLINE void tte_grad_tile_w(const tte_conv_grad_w_params *p, const float *restrict g, const void *x, int32_t s8,
                                int32_t t, int32_t j, int32_t l, const float *restrict scale, float *restrict y)
{
    const tte_grad_area area = tte_grad_area_of(p, t);
    const int32_t pitch = p->kh * p->kw * p->k;
    tte_floats4 s0 = tte_all4(0.0f), s1 = s0, s2 = s0, s3 = s0;
    for (int32_t oy = area.ys.first; oy < area.ys.last; oy++) {
        const float *by = g + (oy * p->ow + area.xs.first) * p->g_pitch + j;
        int32_t at = tte_grad_read(p, t, oy, area.xs.first) + l;
        for (int32_t ox = area.xs.first; ox < area.xs.last; ox++, by += p->g_pitch, at += p->stride_x * p->x_pitch) {
            const tte_floats4 v = tte_grad_input4(p, x, s8, at);
            s0 = tte_add4(s0, by[0], v);
            s1 = tte_add4(s1, by[1], v);
            s2 = tte_add4(s2, by[2], v);
            s3 = tte_add4(s3, by[3], v);
        }
    }
    y += j * pitch + t * p->k + l;
    tte_grad_scaled(s0, scale, j, y);
    tte_grad_scaled(s1, scale, j + 1, y + pitch);
    tte_grad_scaled(s2, scale, j + 2, y + 2 * pitch);
    tte_grad_scaled(s3, scale, j + 3, y + 3 * pitch);
}

/** The sums of tap t for filters j.., n of them (4 or 1), and channel l of x; if depthwise, for as many channels. */
TTE_INLINE tte_floats4 tte_grad_tap_w(const tte_conv_grad_w_params *p, const float *restrict g, const void *x,
                                      int32_t s8, int32_t t, int32_t j, int32_t l, int32_t n)
{
    const tte_grad_area area = tte_grad_area_of(p, t);
    tte_floats4 sums = tte_all4(0.0f);
    for (int32_t oy = area.ys.first; oy < area.ys.last; oy++) {
        for (int32_t ox = area.xs.first; ox < area.xs.last; ox++) {
            const float *by = g + (oy * p->ow + ox) * p->g_pitch + j;
            const int32_t at = tte_grad_read(p, t, oy, ox) + l;
            if (n == 1) {
                sums.a += *by * tte_grad_input(p, x, s8, at);
            } else if (p->depthwise) {
                sums = tte_add4_each(sums, tte_load4(by), tte_grad_input4(p, x, s8, at));
            } else {
                sums = tte_add4(sums, tte_grad_input(p, x, s8, at), tte_load4(by));
            }
        }
    }
    return sums;
}

/** All filters, all channels of x. */
TTE_INLINE void tte_dense_grad_w(const tte_conv_grad_w_params *p, const float *restrict g, const void *x, int32_t s8,
                                 const float *restrict scale, float *restrict y)
{
    const int32_t taps = p->kh * p->kw, blocks = p->filters / 4 * 4, pitch = taps * p->k;
    for (int32_t t = 0; t < taps; t++) {
        for (int32_t j = 0; j < blocks; j += 4) {
            for (int32_t l = 0; l + 4 <= p->k; l += 4) {
                tte_grad_tile_w(p, g, x, s8, t, j, l, scale, y);
            }
            for (int32_t l = p->k / 4 * 4; l < p->k; l++) {
                const tte_floats4 sums = tte_grad_tap_w(p, g, x, s8, t, j, l, 4);
                const tte_floats4 scaled = scale ? tte_times4(sums, tte_load4(scale + j)) : sums;
                float *to = y + j * pitch + t * p->k + l;
                to[0] = scaled.a, to[pitch] = scaled.b, to[2 * pitch] = scaled.c, to[3 * pitch] = scaled.d;
            }
        }
        for (int32_t j = blocks; j < p->filters; j++) {
            for (int32_t l = 0; l < p->k; l++) {
                const float sum = tte_grad_tap_w(p, g, x, s8, t, j, l, 1).a;
                y[j * pitch + t * p->k + l] = scale ? sum * scale[j] : sum;
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
            const tte_floats4 sums = tte_grad_tap_w(p, g, x, s8, t, j, j, 4);
            const tte_floats4 scaled = scale ? tte_times4(sums, tte_load4(scale + j)) : sums;
            float *to = y + j * taps + t;
            to[0] = scaled.a, to[taps] = scaled.b, to[2 * taps] = scaled.c, to[3 * taps] = scaled.d;
        }
        for (int32_t j = p->filters / 4 * 4; j < p->filters; j++) {
            const float sum = tte_grad_tap_w(p, g, x, s8, t, j, j, 1).a;
            y[j * taps + t] = scale ? sum * scale[j] : sum;
        }
    }
}

TTE_INLINE void tte_grad_w(const tte_conv_grad_w_params *p, const float *restrict g, const void *x, int32_t s8,
                           const float *restrict scale, float *restrict y)
{
    if (p->depthwise) {
        tte_depthwise_grad_w(p, g, x, s8, scale, y);
    } else {
        tte_dense_grad_w(p, g, x, s8, scale, y);
    }
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
