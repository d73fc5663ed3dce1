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

/** The weight of filter o at tap t for channel i of x. */
TTE_INLINE float tte_grad_weight(const tte_conv_grad_x_params *p, tte_grad_weights w, int32_t o, int32_t t, int32_t i)
{
    const int32_t row = o * p->kh * p->kw + t;
    return i < p->k ? tte_float_at(w.w, w.s8, row * p->k + i)
                    : tte_float_at(w.rest, w.s8, row * (p->channels - p->k) + i - p->k);
}

/** to[rows,4] = the weights of filters first.. at tap t for channels i.. of x. */
TTE_INLINE void tte_grad_columns(const tte_conv_grad_x_params *p, tte_grad_weights w, int32_t first, int32_t rows,
                                 int32_t t, int32_t i, float *restrict to)
{
    const int32_t taps = p->kh * p->kw, later = i >= p->k;
    const int32_t pitch = later ? p->channels - p->k : p->k, at = later ? i - p->k : i;
    const void *from = later ? w.rest : w.w;
    for (int32_t o = first; o < first + rows; o++, to += 4) {
        for (int32_t l = 0; l < 4; l++) {
            to[l] = i < p->k && i + 4 > p->k ? tte_grad_weight(p, w, o, t, i + l)
                                             : tte_float_at(from, w.s8, (o * taps + t) * pitch + at + l);
        }
    }
}

/** Four channels of n pixels (4 or 1), `pitch` apart: y[n,4] (+)= sum over o < rows of g[n,o] * w[o,4]. */
TTE_INLINE void tte_grad_tile(const tte_conv_grad_x_params *p, const float *restrict g, const float *restrict w,
                              int32_t rows, int32_t n, int32_t begin, float *restrict y, int32_t pitch)
{
    const tte_floats4 zero = tte_all4(0.0f);
    tte_floats4 s0 = zero, s1 = zero, s2 = zero, s3 = zero;
    if (!begin) {
        s0 = tte_load4(y);
        s1 = n == 4 ? tte_load4(y + pitch) : zero;
        s2 = n == 4 ? tte_load4(y + 2 * pitch) : zero;
        s3 = n == 4 ? tte_load4(y + 3 * pitch) : zero;
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
        tte_store4(y + pitch, s1);
        tte_store4(y + 2 * pitch, s2);
        tte_store4(y + 3 * pitch, s3);
    }
}

/** tte_grad_tile for any number of pixels. */
TTE_INLINE void tte_grad_run(const tte_conv_grad_x_params *p, const float *restrict g, const float *restrict w,
                             int32_t rows, int32_t pixels, int32_t begin, float *restrict y, int32_t pitch)
{
    int32_t i = 0;
    for (; i + 4 <= pixels; i += 4) {
        tte_grad_tile(p, g + i * p->g_pitch, w, rows, 4, begin, y + i * pitch, pitch);
    }
    for (; i < pixels; i++) {
        tte_grad_tile(p, g + i * p->g_pitch, w, rows, 1, begin, y + i * pitch, pitch);
    }
}

/** Where tap t brings row oy of g: pixels xs of it, and the first of them to pixel `to` of y. */
typedef struct { tte_span xs; int32_t to; } tte_grad_row;

TTE_INLINE tte_span tte_grad_rows_of_tap(const tte_conv_grad_x_params *p, int32_t t)
{
    return tte_taken(t / p->kw, p->oh, p->h, p->top, p->stride_y, p->dilation_y);
}

TTE_INLINE tte_grad_row tte_grad_row_of_tap(const tte_conv_grad_x_params *p, int32_t t, int32_t oy)
{
    const tte_span xs = tte_taken(t % p->kw, p->ow, p->w, p->left, p->stride_x, p->dilation_x);
    const int32_t iy = oy * p->stride_y - p->top + t / p->kw * p->dilation_y;
    return (tte_grad_row){xs, iy * p->w + xs.first * p->stride_x - p->left + t % p->kw * p->dilation_x};
}

/** One tap of some filters, first.., whose weights for four channels of y are w: all pixels. */
TTE_INLINE void tte_grad_tap_x(const tte_conv_grad_x_params *p, const float *restrict g, const float *restrict w,
                               int32_t rows, int32_t t, int32_t begin, float *restrict y)
{
    if (p->pointwise) {
        tte_grad_run(p, g, w, rows, p->h * p->w, begin, y, p->y_pitch);
        return;
    }
    const tte_span ys = tte_grad_rows_of_tap(p, t);
    for (int32_t oy = ys.first; oy < ys.last; oy++) {
        const tte_grad_row row = tte_grad_row_of_tap(p, t, oy);
        tte_grad_run(p, g + (oy * p->ow + row.xs.first) * p->g_pitch, w, rows, row.xs.last - row.xs.first, 0,
                     y + row.to * p->y_pitch, p->stride_x * p->y_pitch);
    }
}

/** Channel j of y, by weights as they come; `column` is what channel 0 of y is in x. */
TTE_INLINE void tte_grad_single(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                                float *restrict y, int32_t column, int32_t j, int32_t begin)
{
    for (int32_t i = 0; begin && i < p->h * p->w; i++) {
        y[i * p->y_pitch + j] = 0.0f;
    }
    for (int32_t t = 0; t < p->kh * p->kw; t++) {
        const tte_span ys = tte_grad_rows_of_tap(p, t);
        for (int32_t oy = ys.first; oy < ys.last; oy++) {
            const tte_grad_row row = tte_grad_row_of_tap(p, t, oy);
            float *to = y + row.to * p->y_pitch + j;
            for (int32_t ox = row.xs.first; ox < row.xs.last; ox++, to += p->stride_x * p->y_pitch) {
                const float *from = g + (oy * p->ow + ox) * p->g_pitch;
                for (int32_t o = 0; o < p->co; o++) {
                    *to += from[o] * tte_grad_weight(p, w, o, t, column + j);
                }
            }
        }
    }
}

/** Channels j < p->c of y from all of g. */
TTE_INLINE void tte_grad_make(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                              float *restrict y, int32_t column, int32_t begin, float *restrict columns)
{
    for (int32_t j = 0; j + 4 <= p->c; j += 4) {
        for (int32_t i = 0; begin && !p->pointwise && i < p->h * p->w; i++) {
            tte_store4(y + i * p->y_pitch + j, tte_all4(0.0f));
        }
        for (int32_t t = 0; t < p->kh * p->kw; t++) {
            for (int32_t first = 0; first < p->co; first += TTE_GRAD_ROWS) {
                const int32_t rows = p->co - first < TTE_GRAD_ROWS ? p->co - first : TTE_GRAD_ROWS;
                tte_grad_columns(p, w, first, rows, t, column + j, columns);
                tte_grad_tap_x(p, g + first, columns, rows, t, begin && first == 0, y + j);
            }
        }
    }
    for (int32_t j = p->c / 4 * 4; j < p->c; j++) {
        tte_grad_single(p, g, w, y, column, j, begin);
    }
}

/** All channels of y from four of g, pointwise. */
TTE_INLINE void tte_grad_take(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                              float *restrict y, int32_t begin)
{
    for (int32_t j = 0; j + 4 <= p->c; j += 4) {
        float rows[16];
        tte_grad_columns(p, w, 0, 4, 0, j, rows);
        const tte_floats4 w0 = tte_load4(rows), w1 = tte_load4(rows + 4);
        const tte_floats4 w2 = tte_load4(rows + 8), w3 = tte_load4(rows + 12);
        const float *from = g;
        float *to = y + j;
        for (int32_t i = 0; i < p->h * p->w; i++, from += p->g_pitch, to += p->y_pitch) {
            tte_floats4 sums = begin ? tte_all4(0.0f) : tte_load4(to);
            sums = tte_add4(sums, from[0], w0);
            sums = tte_add4(sums, from[1], w1);
            sums = tte_add4(sums, from[2], w2);
            tte_store4(to, tte_add4(sums, from[3], w3));
        }
    }
    for (int32_t j = p->c / 4 * 4; j < p->c; j++) {
        tte_grad_single(p, g, w, y, 0, j, begin);
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

TTE_INLINE void tte_grad_x(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                           float *restrict y, int8_t *bytes, int32_t c)
{
    const int32_t some = p->c < p->channels, begin = some || c == 0; /* channels of y; else it may be some of g */
    float *scratch = (float *)(void *)bytes;
    if (p->depthwise) {
        tte_depthwise_grad_x(p, g, w, y, c, scratch);
    } else if (p->pointwise && !some && p->co == 4) {
        tte_grad_take(p, g, w, y, begin);
    } else {
        tte_grad_make(p, g, w, y, some ? c : 0, begin, scratch);
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
