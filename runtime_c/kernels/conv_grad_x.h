/** @file conv_grad_x.h  The gradient of a convolution's input. */
#ifndef TTE_CONV_GRAD_X_H
#define TTE_CONV_GRAD_X_H

#include "tte/tte_grad_weights.h"

enum { TTE_GRAD_ROWS = 32 }; /* filters whose weights are floats in scratch at a time */

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
    int32_t left = pixels;
    for (; left >= 4; left -= 4, g += 4 * p->g_pitch, y += 4 * pitch) {
        tte_grad_tile(p, g, w, rows, 4, begin, y, pitch);
    }
    for (; left > 0; left--, g += p->g_pitch, y += pitch) {
        tte_grad_tile(p, g, w, rows, 1, begin, y, pitch);
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

/** Channels j to j + 4 of y from four of g, pointwise. */
TTE_INLINE void tte_grad_take4(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                               float *restrict y, int32_t j, int32_t begin)
{
    const tte_grad_source source = tte_grad_source_of(p, w, j);
    const tte_floats4 w0 = tte_grad_weight4(p, w, source, 0, 0, j), w1 = tte_grad_weight4(p, w, source, 1, 0, j);
    const tte_floats4 w2 = tte_grad_weight4(p, w, source, 2, 0, j), w3 = tte_grad_weight4(p, w, source, 3, 0, j);
    y += j;
    for (int32_t i = 0; i < p->h * p->w; i++, g += p->g_pitch, y += p->y_pitch) {
        tte_floats4 sums = begin ? tte_all4(0.0f) : tte_load4(y);
        sums = tte_add4(sums, g[0], w0);
        sums = tte_add4(sums, g[1], w1);
        sums = tte_add4(sums, g[2], w2);
        tte_store4(y, tte_add4(sums, g[3], w3));
    }
}

/** All channels of y from four of g, pointwise. */
TTE_INLINE void tte_grad_take(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                              float *restrict y, int32_t begin)
{
    for (int32_t j = 0; j + 4 <= p->c; j += 4) {
        if (begin) {
            tte_grad_take4(p, g, w, y, j, 1);
        } else {
            tte_grad_take4(p, g, w, y, j, 0);
        }
    }
    for (int32_t j = p->c / 4 * 4; j < p->c; j++) {
        tte_grad_single(p, g, w, y, 0, j, begin);
    }
}

/** `count` taps, first, first + stride.., bring to a row (or column) of y what lies in `from`, from - 1.. of g. */
typedef struct { int32_t first, count, from; } tte_grad_reach;

/** Those of a filter of `size` without dilation that reach row `at` of y from n rows of g. */
TTE_INLINE tte_grad_reach tte_grad_reach_of(int32_t at, int32_t size, int32_t n, int32_t pad, int32_t stride)
{
    const int32_t up = at + pad, least = up - (n - 1) * stride, first = least > 0 ? least : up % stride;
    const int32_t last = up < size ? up : size - 1;
    return (tte_grad_reach){first, last < first ? 0 : (last - first) / stride + 1, (up - first) / stride};
}

/** n channels (4 or 1) of y, by w[kh,kw,n], without dilation: each pixel is a sum in registers. */
TTE_INLINE void tte_depthwise_plane(const tte_conv_grad_x_params *p, const float *restrict g, const float *restrict w,
                                    int32_t n, float *restrict y)
{
    for (int32_t iy = 0; iy < p->h; iy++) {
        const tte_grad_reach ys = tte_grad_reach_of(iy, p->kh, p->oh, p->top, p->stride_y);
        for (int32_t ix = 0; ix < p->w; ix++, y += p->y_pitch) {
            const tte_grad_reach xs = tte_grad_reach_of(ix, p->kw, p->ow, p->left, p->stride_x);
            const float *row = g + (ys.from * p->ow + xs.from) * p->g_pitch;
            const float *filter = w + (ys.first * p->kw + xs.first) * n;
            tte_floats4 sums = tte_all4(0.0f);
            for (int32_t i = ys.count; i > 0; i--, row -= p->ow * p->g_pitch, filter += p->stride_y * p->kw * n) {
                const float *from = row, *weights = filter;
                for (int32_t k = xs.count; k > 0; k--, from -= p->g_pitch, weights += p->stride_x * n) {
                    if (n == 4) {
                        sums = tte_add4_each(sums, tte_load4(from), tte_load4(weights));
                    } else {
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

/** n channels (4 or 1) of y, by w[kh,kw,n]: tap by tap. */
TTE_INLINE void tte_depthwise_taps(const tte_conv_grad_x_params *p, const float *restrict g, const float *restrict w,
                                   int32_t n, float *restrict y)
{
    for (int32_t i = 0; i < p->h * p->w; i++) {
        for (int32_t l = 0; l < n; l++) {
            y[i * p->y_pitch + l] = 0.0f;
        }
    }
    for (int32_t t = 0; t < p->kh * p->kw; t++, w += n) {
        const tte_span ys = tte_grad_rows_of_tap(p, t);
        for (int32_t oy = ys.first; oy < ys.last; oy++) {
            const tte_grad_row row = tte_grad_row_of_tap(p, t, oy);
            float *to = y + row.to * p->y_pitch;
            for (int32_t ox = row.xs.first; ox < row.xs.last; ox++, to += p->stride_x * p->y_pitch) {
                for (int32_t l = 0; l < n; l++) {
                    to[l] += g[(oy * p->ow + ox) * p->g_pitch + l] * w[l];
                }
            }
        }
    }
}

/** n channels (4 or 1) of y, by w[kh,kw,n]. */
TTE_INLINE void tte_depthwise_channels(const tte_conv_grad_x_params *p, const float *restrict g,
                                       const float *restrict w, int32_t n, float *restrict y)
{
    if (p->dilation_y == 1 && p->dilation_x == 1) {
        tte_depthwise_plane(p, g, w, n, y);
    } else {
        tte_depthwise_taps(p, g, w, n, y);
    }
}

/** One filter per channel; filters in one tensor are those of the channels that are made. */
TTE_INLINE void tte_depthwise_grad_x(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                                     float *restrict y, int32_t c, float *restrict scratch)
{
    for (int32_t j = 0; j + 4 <= p->c; j += 4) {
        tte_depthwise_filters(p, w, c, j, 4, scratch);
        tte_depthwise_channels(p, g + j, scratch, 4, y + j);
    }
    for (int32_t j = p->c / 4 * 4; j < p->c; j++) {
        tte_depthwise_filters(p, w, c, j, 1, scratch);
        tte_depthwise_channels(p, g + j, scratch, 1, y + j);
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
    tte_grad_x(p, g, (tte_grad_weights){w, rest, TTE_WEIGHTS_S8}, y, scratch, c);
}

/** As tte_conv_grad_x_s8, pointwise and of one tensor, for weights as the kernels for Arm's DSP extension have them. */
TTE_KERNEL tte_conv_grad_x_s8_dsp(const tte_conv_grad_x_params *p, const float *restrict g, const int8_t *restrict w,
                                  float *restrict y, int8_t *restrict scratch, int32_t c)
{
    tte_grad_x(p, g, (tte_grad_weights){w, NULL, TTE_WEIGHTS_PAIRS}, y, scratch, c);
}

/** As tte_conv_grad_x_s8. */
TTE_KERNEL tte_conv_grad_x_f32(const tte_conv_grad_x_params *p, const float *restrict g, const float *restrict w,
                               const float *restrict rest, float *restrict y, int8_t *restrict scratch, int32_t c)
{
    tte_grad_x(p, g, (tte_grad_weights){w, rest, TTE_WEIGHTS_F32}, y, scratch, c);
}

#endif
