/** @file conv_grad_x.h  The gradient of a convolution's input. */
#ifndef TTE_CONV_GRAD_X_H
#define TTE_CONV_GRAD_X_H

#include "tte/tte.h"
#include "tte/tte_floats4.h"

typedef struct {
    int32_t h, w, c;          /* y, or the part of it that is made */
    int32_t oh, ow, co;       /* g, or the part of it that is taken */
    int32_t kh, kw;           /* filter */
    int32_t k, channels;      /* of x in w, and in all; if depthwise, filters in w, and in all */
    int32_t depthwise, pointwise;
    int32_t stride_y, stride_x, top, left, dilation_y, dilation_x;
    int32_t g_pitch, y_pitch; /* elements from one pixel to the next */
} tte_conv_grad_x_params;

/** Weights of either type, in one tensor or (rest not NULL) in two. */
typedef struct {
    const void *w, *rest;
    int32_t s8;
} tte_grad_weights;

enum { TTE_GRAD_ROWS = 32 }; /* filters whose weights are floats in scratch at a time */

/** The weight for channel i of x in row `row` (co * kh * kw + tap) of all filters. */
TTE_INLINE float tte_grad_weight(const tte_conv_grad_x_params *p, tte_grad_weights w, int32_t row, int32_t i)
{
    return i < p->k ? tte_float_at(w.w, w.s8, row * p->k + i)
                    : tte_float_at(w.rest, w.s8, row * (p->channels - p->k) + i - p->k);
}

/** to[rows,4] = the weights for channels i.. of x in rows first.. of all filters. */
TTE_INLINE void tte_grad_columns(const tte_conv_grad_x_params *p, tte_grad_weights w, int32_t first, int32_t rows,
                                 int32_t i, float *restrict to)
{
    const int32_t later = i >= p->k, pitch = later ? p->channels - p->k : p->k, at = later ? i - p->k : i;
    const void *from = later ? w.rest : w.w;
    for (int32_t r = first; r < first + rows; r++, to += 4) {
        for (int32_t l = 0; l < 4; l++) {
            to[l] = i < p->k && i + 4 > p->k ? tte_grad_weight(p, w, r, i + l)
                                             : tte_float_at(from, w.s8, r * pitch + at + l);
        }
    }
}

/** Four channels of n pixels (4 or 1): y[n,4] (+)= sum over o < rows of g[n,o] * w[o,4]. */
TTE_INLINE void tte_grad_tile(const tte_conv_grad_x_params *p, const float *restrict g, const float *restrict w,
                              int32_t rows, int32_t n, int32_t begin, float *restrict y)
{
    const tte_floats4 zero = tte_all4(0.0f);
    tte_floats4 s0 = zero, s1 = zero, s2 = zero, s3 = zero;
    if (!begin) {
        s0 = tte_load4(y);
        s1 = n == 4 ? tte_load4(y + p->y_pitch) : zero;
        s2 = n == 4 ? tte_load4(y + 2 * p->y_pitch) : zero;
        s3 = n == 4 ? tte_load4(y + 3 * p->y_pitch) : zero;
    }
    for (int32_t o = 0; o < rows; o++, g++, w += 4) {
        const tte_floats4 v = tte_load4(w);
        s0 = tte_add4(s0, g[0], v);
        if (n == 4) {
            s1 = tte_add4(s1, g[p->g_pitch], v);
            s2 = tte_add4(s2, g[2 * p->g_pitch], v);
            s3 = tte_add4(s3, g[3 * p->g_pitch], v);
        }
    }
    tte_store4(y, s0);
    if (n == 4) {
        tte_store4(y + p->y_pitch, s1);
        tte_store4(y + 2 * p->y_pitch, s2);
        tte_store4(y + 3 * p->y_pitch, s3);
    }
}

/** Channels j < p->c of y from all of g; `column` is what channel 0 of y is in x. */
TTE_INLINE void tte_pointwise_make(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                                   float *restrict y, int32_t column, int32_t begin, float *restrict columns)
{
    const int32_t pixels = p->h * p->w, blocks = p->c / 4 * 4;
    for (int32_t j = 0; j < blocks; j += 4) {
        for (int32_t first = 0; first < p->co; first += TTE_GRAD_ROWS) {
            const int32_t rows = p->co - first < TTE_GRAD_ROWS ? p->co - first : TTE_GRAD_ROWS;
            const int32_t zero = begin && first == 0;
            tte_grad_columns(p, w, first, rows, column + j, columns);
            int32_t i = 0;
            for (; i + 4 <= pixels; i += 4) {
                tte_grad_tile(p, g + i * p->g_pitch + first, columns, rows, 4, zero, y + i * p->y_pitch + j);
            }
            for (; i < pixels; i++) {
                tte_grad_tile(p, g + i * p->g_pitch + first, columns, rows, 1, zero, y + i * p->y_pitch + j);
            }
        }
    }
    for (int32_t i = 0; i < pixels; i++) {
        for (int32_t j = blocks; j < p->c; j++) {
            float sum = begin ? 0.0f : y[i * p->y_pitch + j];
            for (int32_t o = 0; o < p->co; o++) {
                sum += g[i * p->g_pitch + o] * tte_grad_weight(p, w, o, column + j);
            }
            y[i * p->y_pitch + j] = sum;
        }
    }
}

/** All channels of y from four of g. */
TTE_INLINE void tte_pointwise_take(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                                   float *restrict y, int32_t begin)
{
    const int32_t pixels = p->h * p->w;
    const tte_floats4 zero = tte_all4(0.0f);
    for (int32_t j = 0; j + 4 <= p->c; j += 4) {
        float rows[16];
        tte_grad_columns(p, w, 0, 4, j, rows);
        const tte_floats4 w0 = tte_load4(rows), w1 = tte_load4(rows + 4);
        const tte_floats4 w2 = tte_load4(rows + 8), w3 = tte_load4(rows + 12);
        const float *from = g;
        float *to = y + j;
        for (int32_t i = 0; i < pixels; i++, from += p->g_pitch, to += p->y_pitch) {
            tte_floats4 sums = begin ? zero : tte_load4(to);
            sums = tte_add4(sums, from[0], w0);
            sums = tte_add4(sums, from[1], w1);
            sums = tte_add4(sums, from[2], w2);
            tte_store4(to, tte_add4(sums, from[3], w3));
        }
    }
    for (int32_t i = 0; i < pixels; i++) {
        for (int32_t j = p->c / 4 * 4; j < p->c; j++) {
            float sum = begin ? 0.0f : y[i * p->y_pitch + j];
            for (int32_t o = 0; o < 4; o++) {
                sum += g[i * p->g_pitch + o] * tte_grad_weight(p, w, o, j);
            }
            y[i * p->y_pitch + j] = sum;
        }
    }
}

/** Every pixel from its own: y[i,j] = sum over co of g[i,co] * w[co,j]. Part of g adds to y, which c == 0 begins. */
TTE_INLINE void tte_pointwise_grad_x(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                                     float *restrict y, int32_t c, float *restrict scratch)
{
    const int32_t some = p->c < p->channels, begin = some || c == 0;
    if (!some && p->co == 4) {
        tte_pointwise_take(p, g, w, y, begin);
    } else {
        tte_pointwise_make(p, g, w, y, some ? c : 0, begin, scratch);
    }
}

/** The taps first <= k < last, every step-th, that may bring something to row (or column) `at` of y. */
typedef struct { int32_t first, last, step; } tte_grad_taps;

/** Those of n rows of g under a filter of `size`; without dilation all of these do. */
TTE_INLINE tte_grad_taps tte_grad_reach(int32_t at, int32_t size, int32_t n, int32_t pad, int32_t stride,
                                        int32_t dilation)
{
    const int32_t up = at + pad, least = up - (n - 1) * stride;
    if (dilation > 1) {
        return (tte_grad_taps){0, size, 1};
    }
    return (tte_grad_taps){least > 0 ? least : up % stride, up < size ? up + 1 : size, stride};
}

/** The row (or column) of g from which tap k brings something to `at`, or -1. */
TTE_INLINE int32_t tte_grad_from(int32_t at, int32_t k, int32_t n, int32_t pad, int32_t stride, int32_t dilation)
{
    const int32_t up = at + pad - k * dilation;
    return dilation > 1 && (up < 0 || up % stride != 0 || up / stride >= n) ? -1 : up / stride;
}

/** n channels (4 or 1) of y, by w[kh,kw,n]. */
TTE_INLINE void tte_depthwise_plane(const tte_conv_grad_x_params *p, const float *restrict g, const float *restrict w,
                                    int32_t n, float *restrict y)
{
    for (int32_t iy = 0; iy < p->h; iy++) {
        const tte_grad_taps ys = tte_grad_reach(iy, p->kh, p->oh, p->top, p->stride_y, p->dilation_y);
        for (int32_t ix = 0; ix < p->w; ix++, y += p->y_pitch) {
            const tte_grad_taps xs = tte_grad_reach(ix, p->kw, p->ow, p->left, p->stride_x, p->dilation_x);
            tte_floats4 sums = tte_all4(0.0f);
            for (int32_t ky = ys.first; ky < ys.last; ky += ys.step) {
                const int32_t oy = tte_grad_from(iy, ky, p->oh, p->top, p->stride_y, p->dilation_y);
                for (int32_t kx = xs.first; oy >= 0 && kx < xs.last; kx += xs.step) {
                    const int32_t ox = tte_grad_from(ix, kx, p->ow, p->left, p->stride_x, p->dilation_x);
                    const float *from = g + (oy * p->ow + ox) * p->g_pitch, *weights = w + (ky * p->kw + kx) * n;
                    if (ox >= 0 && n == 4) {
                        sums = tte_add4_each(sums, tte_load4(from), tte_load4(weights));
                    } else if (ox >= 0) {
                        sums.a += *from * *weights;
                    }
                }
            }
            if (n == 4) {
                tte_store4(y, sums);
            } else {
                *y = sums.a;
            }
        }
    }
}

/** to[kh,kw,n] = the filters of channels j.. of y, which begins at c. */
TTE_INLINE void tte_depthwise_filters(const tte_conv_grad_x_params *p, tte_grad_weights w, int32_t c, int32_t j,
                                      int32_t n, float *restrict to)
{
    const int32_t taps = p->kh * p->kw;
    for (int32_t l = 0; l < n; l++) {
        const int32_t filter = w.rest ? c + j + l : j + l, later = w.rest && filter >= p->k;
        const int32_t from = (later ? filter - p->k : filter) * taps;
        for (int32_t t = 0; t < taps; t++) {
            to[t * n + l] = tte_float_at(later ? w.rest : w.w, w.s8, from + t);
        }
    }
}

/** One filter per channel; filters in one tensor are those of the channels that are made. */
TTE_INLINE void tte_depthwise_grad_x(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                                     float *restrict y, int32_t c, float *restrict scratch)
{
    for (int32_t j = 0; j + 4 <= p->c; j += 4) {
        tte_depthwise_filters(p, w, c, j, 4, scratch);
        tte_depthwise_plane(p, g + j, scratch, 4, y + j);
    }
    for (int32_t j = p->c / 4 * 4; j < p->c; j++) {
        tte_depthwise_filters(p, w, c, j, 1, scratch);
        tte_depthwise_plane(p, g + j, scratch, 1, y + j);
    }
}

/** All channels of g make channels c to c + p->c of y. */
TTE_INLINE void tte_dense_grad_x(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                                 float *restrict y, int32_t c)
{
    const int32_t taps = p->kh * p->kw;
    for (int32_t i = 0; i < p->h * p->w; i++, y += p->y_pitch) {
        const int32_t iy = i / p->w, ix = i % p->w;
        const tte_grad_taps ys = tte_grad_reach(iy, p->kh, p->oh, p->top, p->stride_y, p->dilation_y);
        const tte_grad_taps xs = tte_grad_reach(ix, p->kw, p->ow, p->left, p->stride_x, p->dilation_x);
        for (int32_t j = 0; j < p->c; j++) {
            y[j] = 0.0f;
        }
        for (int32_t ky = ys.first; ky < ys.last; ky += ys.step) {
            const int32_t oy = tte_grad_from(iy, ky, p->oh, p->top, p->stride_y, p->dilation_y);
            for (int32_t kx = xs.first; oy >= 0 && kx < xs.last; kx += xs.step) {
                const int32_t ox = tte_grad_from(ix, kx, p->ow, p->left, p->stride_x, p->dilation_x);
                for (int32_t o = 0; ox >= 0 && o < p->co; o++) {
                    const float v = g[(oy * p->ow + ox) * p->g_pitch + o];
                    for (int32_t j = 0; j < p->c; j++) {
                        y[j] += v * tte_grad_weight(p, w, o * taps + ky * p->kw + kx, c + j);
                    }
                }
            }
        }
    }
}

TTE_INLINE void tte_grad_x(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                           float *restrict y, int8_t *scratch, int32_t c)
{
    if (p->depthwise) {
        tte_depthwise_grad_x(p, g, w, y, c, (float *)(void *)scratch);
    } else if (p->pointwise) {
        tte_pointwise_grad_x(p, g, w, y, c, (float *)(void *)scratch);
    } else {
        tte_dense_grad_x(p, g, w, y, c);
    }
}

/**
 * y[iy,ix,ci] = sum over ky, kx, co, in this order, of g[oy,ox,co] * w[co,ky,kx,ci] where
 * iy = oy * stride - top + ky * dilation, and ix alike. Pointwise, g may be channels c.. of co, with their filters: then
 * they add to y, which the first begin. Otherwise y may be channels c.. of ci, with all weights; if depthwise so is g,
 * with their filters. Unless `rest` is NULL, w holds channels ci < k and `rest` the others; if depthwise, filters c < k,
 * and both are whole. Scratch: four floats for each tap, or for each of TTE_GRAD_ROWS filters.
 */
TTE_KERNEL tte_conv_grad_x_s8(const tte_conv_grad_x_params *p, const float *restrict g, const int8_t *restrict w,
                              const int8_t *restrict rest, float *restrict y, int8_t *restrict scratch, int32_t c)
{
    tte_grad_x(p, g, (tte_grad_weights){w, rest, 1}, y, scratch, c);
}

/** As tte_conv_grad_x_s8. */
TTE_KERNEL tte_conv_grad_x_f32(const tte_conv_grad_x_params *p, const float *restrict g, const float *restrict w,
                               const float *restrict rest, float *restrict y, int8_t *restrict scratch, int32_t c)
{
    tte_grad_x(p, g, (tte_grad_weights){w, rest, 0}, y, scratch, c);
}

#endif
