/** @file rounded_grad_x.h  The gradient of a convolution's input from a gradient in integers with steps. */
#ifndef TTE_ROUNDED_GRAD_X_H
#define TTE_ROUNDED_GRAD_X_H

#include "tte/tte.h"
#include "tte/tte_dot.h"
#include "tte/tte_floats4.h"
#include "tte/tte_integers.h"

typedef struct {
    int32_t h, w, c;          /* y, or the part of it that is made */
    int32_t oh, ow, co;       /* g, or the part of it that is taken */
    int32_t kh, kw;           /* filter */
    int32_t k, channels;      /* of x in w, and in all; if depthwise, filters in w, and in all */
    int32_t depthwise, pointwise;
    int32_t stride_y, stride_x, top, left, dilation_y, dilation_x;
    int32_t group;            /* neighbouring channels of g that share a step */
    int32_t g_pitch, y_pitch; /* elements from one pixel to the next */
} tte_rounded_grad_x_params;

/** The taps first <= k < last, every step-th, that may bring something to row (or column) `at` of y. */
typedef struct { int32_t first, last, step; } tte_bringing;

/** Those of n rows of g under a filter of `size`; without dilation all of these do. */
TTE_INLINE tte_bringing tte_bringing_to(int32_t at, int32_t size, int32_t n, int32_t pad, int32_t stride,
                                        int32_t dilation)
{
    const int32_t up = at + pad, least = up - (n - 1) * stride;
    if (dilation > 1) {
        return (tte_bringing){0, size, 1};
    }
    return (tte_bringing){least > 0 ? least : up % stride, up < size ? up + 1 : size, stride};
}

/** The row (or column) of g from which tap k brings something to `at`, or -1. */
TTE_INLINE int32_t tte_brought_from(int32_t at, int32_t k, int32_t n, int32_t pad, int32_t stride, int32_t dilation)
{
    const int32_t up = at + pad - k * dilation;
    return dilation > 1 && (up < 0 || up % stride != 0 || up / stride >= n) ? -1 : up / stride;
}

/** The weights for channels i to i + n of x, in all filters: rows of `pitch` elements. */
typedef struct { const int8_t *first; int32_t pitch; } tte_grad_matrix;

/** They must lie in one tensor. */
TTE_INLINE tte_grad_matrix tte_grad_part(const tte_rounded_grad_x_params *p, const int8_t *w, const int8_t *rest,
                                         int32_t i)
{
    return i < p->k ? (tte_grad_matrix){w + i, p->k} : (tte_grad_matrix){rest + (i - p->k), p->channels - p->k};
}

/** n channels (4 or 1) of pixel (iy, ix), added to `total`. */
TTE_INLINE tte_floats4 tte_rounded_pixel(const tte_rounded_grad_x_params *p, const void *g, int32_t s8,
                                         const float *step, tte_grad_matrix w, int32_t iy, int32_t ix, int32_t n,
                                         tte_floats4 total)
{
    const tte_bringing ys = tte_bringing_to(iy, p->kh, p->oh, p->top, p->stride_y, p->dilation_y);
    const tte_bringing xs = tte_bringing_to(ix, p->kw, p->ow, p->left, p->stride_x, p->dilation_x);
    for (int32_t ky = ys.first; ky < ys.last; ky += ys.step) {
        const int32_t oy = tte_brought_from(iy, ky, p->oh, p->top, p->stride_y, p->dilation_y);
        for (int32_t kx = xs.first; oy >= 0 && kx < xs.last; kx += xs.step) {
            const int32_t ox = tte_brought_from(ix, kx, p->ow, p->left, p->stride_x, p->dilation_x);
            for (int32_t o = 0; ox >= 0 && o < p->co; o += p->group) {
                tte_sums4 s = {0, 0, 0, 0};
                for (int32_t l = o; l < o + p->group; l++) {
                    const int32_t v = tte_integer_at(g, s8, (oy * p->ow + ox) * p->g_pitch + l);
                    const int8_t *by = w.first + ((l * p->kh + ky) * p->kw + kx) * w.pitch;
                    s.a += v * by[0];
                    if (n == 4) {
                        s.b += v * by[1];
                        s.c += v * by[2];
                        s.d += v * by[3];
                    }
                }
                total = tte_plus4(total, tte_scaled_sums(s, step[o]));
            }
        }
    }
    return total;
}

/** All that is not depthwise. Part of g adds to y, which c == 0 begins. */
TTE_INLINE void tte_rounded_dense_x(const tte_rounded_grad_x_params *p, const void *g, int32_t s8, const float *step,
                                    const int8_t *w, const int8_t *rest, float *restrict y, int32_t c)
{
    const int32_t some = p->c < p->channels, begin = some || c == 0, base = some ? c : 0;
    for (int32_t i = 0; i < p->h * p->w; i++, y += p->y_pitch) {
        for (int32_t j = 0, n; j < p->c; j += n) {
            const int32_t at = base + j, end = at < p->k ? p->k : p->channels;
            const tte_grad_matrix part = tte_grad_part(p, w, rest, at);
            n = j + 4 <= p->c && at + 4 <= end ? 4 : 1;
            if (n == 4) {
                const tte_floats4 before = begin ? tte_all4(0.0f) : tte_load4(y + j);
                tte_store4(y + j, tte_rounded_pixel(p, g, s8, step, part, i / p->w, i % p->w, 4, before));
            } else {
                const tte_floats4 before = tte_all4(begin ? 0.0f : y[j]);
                y[j] = tte_rounded_pixel(p, g, s8, step, part, i / p->w, i % p->w, 1, before).a;
            }
        }
    }
}

/** The filter of channel j of y, which begins at c; filters in one tensor are those of the channels that are made. */
TTE_INLINE const int8_t *tte_grad_filter(const tte_rounded_grad_x_params *p, const int8_t *w, const int8_t *rest,
                                         int32_t c, int32_t j)
{
    const int32_t filter = rest ? c + j : j, taps = p->kh * p->kw;
    return rest && filter >= p->k ? rest + (filter - p->k) * taps : w + filter * taps;
}

/** n neighbouring channels (4 or 1) of pixel (iy, ix), whose filters follow each other. */
TTE_INLINE tte_sums4 tte_rounded_channels(const tte_rounded_grad_x_params *p, const void *g, int32_t s8, int32_t j,
                                          const int8_t *filter, int32_t iy, int32_t ix, int32_t n)
{
    const tte_bringing ys = tte_bringing_to(iy, p->kh, p->oh, p->top, p->stride_y, p->dilation_y);
    const tte_bringing xs = tte_bringing_to(ix, p->kw, p->ow, p->left, p->stride_x, p->dilation_x);
    const int32_t taps = p->kh * p->kw;
    tte_sums4 s = {0, 0, 0, 0};
    for (int32_t ky = ys.first; ky < ys.last; ky += ys.step) {
        const int32_t oy = tte_brought_from(iy, ky, p->oh, p->top, p->stride_y, p->dilation_y);
        for (int32_t kx = xs.first; oy >= 0 && kx < xs.last; kx += xs.step) {
            const int32_t ox = tte_brought_from(ix, kx, p->ow, p->left, p->stride_x, p->dilation_x);
            const int32_t at = (oy * p->ow + ox) * p->g_pitch + j;
            const int8_t *by = filter + ky * p->kw + kx;
            if (ox >= 0) {
                s.a += tte_integer_at(g, s8, at) * by[0];
            }
            if (ox >= 0 && n == 4) {
                s.b += tte_integer_at(g, s8, at + 1) * by[taps];
                s.c += tte_integer_at(g, s8, at + 2) * by[2 * taps];
                s.d += tte_integer_at(g, s8, at + 3) * by[3 * taps];
            }
        }
    }
    return s;
}

/** One filter per channel. */
TTE_INLINE void tte_rounded_depthwise_x(const tte_rounded_grad_x_params *p, const void *g, int32_t s8,
                                        const float *step, const int8_t *w, const int8_t *rest, float *restrict y,
                                        int32_t c)
{
    for (int32_t j = 0, n; j < p->c; j += n) {
        const int8_t *const filter = tte_grad_filter(p, w, rest, c, j);
        n = j + 4 <= p->c && (!rest || c + j >= p->k || c + j + 4 <= p->k) ? 4 : 1;
        for (int32_t i = 0; i < p->h * p->w; i++) {
            float *to = y + i * p->y_pitch + j;
            if (n == 4) {
                const tte_sums4 s = tte_rounded_channels(p, g, s8, j, filter, i / p->w, i % p->w, 4);
                to[0] = tte_scaled_sum(s.a, step[j]), to[1] = tte_scaled_sum(s.b, step[j + 1]);
                to[2] = tte_scaled_sum(s.c, step[j + 2]), to[3] = tte_scaled_sum(s.d, step[j + 3]);
            } else {
                const tte_sums4 s = tte_rounded_channels(p, g, s8, j, filter, i / p->w, i % p->w, 1);
                to[0] = tte_scaled_sum(s.a, step[j]);
            }
        }
    }
}

TTE_INLINE void tte_rounded_grad_x(const tte_rounded_grad_x_params *p, const void *g, int32_t s8, const float *step,
                                   const int8_t *w, const int8_t *rest, float *restrict y, int32_t c)
{
    if (p->depthwise) {
        tte_rounded_depthwise_x(p, g, s8, step, w, rest, y, c);
    } else {
        tte_rounded_dense_x(p, g, s8, step, w, rest, y, c);
    }
}

/**
 * As tte_conv_grad_x_s8 of g * step, the steps being equal within each group of channels of g: the products of a group
 * are added as integers, and these sums, times their step, in order of ky, kx and groups. If depthwise, all products of
 * an element are added as integers. No integer sum has more than 256 products.
 */
TTE_KERNEL tte_rounded_grad_x_s8(const tte_rounded_grad_x_params *p, const int8_t *restrict g,
                                 const float *restrict step, const int8_t *restrict w, const int8_t *restrict rest,
                                 float *restrict y, int32_t c)
{
    tte_rounded_grad_x(p, g, 1, step, w, rest, y, c);
}

/** As tte_rounded_grad_x_s8. */
TTE_KERNEL tte_rounded_grad_x_s16(const tte_rounded_grad_x_params *p, const int16_t *restrict g,
                                  const float *restrict step, const int8_t *restrict w, const int8_t *restrict rest,
                                  float *restrict y, int32_t c)
{
    tte_rounded_grad_x(p, g, 0, step, w, rest, y, c);
}

#endif
