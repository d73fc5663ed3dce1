/** @file conv_grad_x.h  The gradient of a convolution's input. */
#ifndef TTE_CONV_GRAD_X_H
#define TTE_CONV_GRAD_X_H

#include "tte/tte.h"

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

TTE_INLINE float tte_grad_weight(const void *w, int32_t s8, int32_t i)
{
    return s8 ? (float)((const int8_t *)w)[i] : ((const float *)w)[i];
}

/** The weight of filter `row` (of all taps: co * kh * kw + tap) for channel i of x. */
TTE_INLINE float tte_grad_weight_at(const tte_conv_grad_x_params *p, tte_grad_weights w, int32_t row, int32_t i)
{
    return i < p->k ? tte_grad_weight(w.w, w.s8, row * p->k + i)
                    : tte_grad_weight(w.rest, w.s8, row * (p->channels - p->k) + i - p->k);
}

/** The row (or column) of g that tap k brings to row `at` of y, or -1. */
TTE_INLINE int32_t tte_grad_from(int32_t at, int32_t k, int32_t n, int32_t pad, int32_t stride, int32_t dilation)
{
    const int32_t up = at + pad - k * dilation;
    return up < 0 || up % stride != 0 || up / stride >= n ? -1 : up / stride;
}

/** Every pixel from its own: y[i,j] = sum over co of g[i,co] * w[co,j]. */
TTE_INLINE void tte_pointwise_grad_x(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                                     float *restrict y, int32_t c)
{
    const int32_t some = p->c < p->channels; /* channels of y; else it may be some of g */
    for (int32_t i = 0; i < p->h * p->w; i++) {
        for (int32_t j = 0; j < p->c; j++) {
            float sum = some || c == 0 ? 0.0f : y[i * p->y_pitch + j];
            for (int32_t o = 0; o < p->co; o++) {
                sum += g[i * p->g_pitch + o] * tte_grad_weight_at(p, w, o, some ? c + j : j);
            }
            y[i * p->y_pitch + j] = sum;
        }
    }
}

/** One filter per channel; filters in one tensor are those of the channels that are made. */
TTE_INLINE void tte_depthwise_grad_x(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                                     float *restrict y, int32_t c)
{
    const int32_t taps = p->kh * p->kw;
    for (int32_t i = 0; i < p->h * p->w; i++) {
        float *to = y + i * p->y_pitch;
        for (int32_t j = 0; j < p->c; j++) {
            const int32_t first = w.rest ? c + j : j;
            const int32_t later = w.rest && first >= p->k;
            float sum = 0.0f;
            for (int32_t t = 0; t < taps; t++) {
                const int32_t oy = tte_grad_from(i / p->w, t / p->kw, p->oh, p->top, p->stride_y, p->dilation_y);
                const int32_t ox = tte_grad_from(i % p->w, t % p->kw, p->ow, p->left, p->stride_x, p->dilation_x);
                if (oy >= 0 && ox >= 0) {
                    const float weight = later ? tte_grad_weight(w.rest, w.s8, (first - p->k) * taps + t)
                                               : tte_grad_weight(w.w, w.s8, first * taps + t);
                    sum += g[(oy * p->ow + ox) * p->g_pitch + j] * weight;
                }
            }
            to[j] = sum;
        }
    }
}

/** All channels of g make channels c to c + p->c of y. */
TTE_INLINE void tte_dense_grad_x(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                                 float *restrict y, int32_t c)
{
    const int32_t taps = p->kh * p->kw;
    for (int32_t i = 0; i < p->h * p->w; i++) {
        float *to = y + i * p->y_pitch;
        for (int32_t j = 0; j < p->c; j++) {
            to[j] = 0.0f;
        }
        for (int32_t t = 0; t < taps; t++) {
            const int32_t oy = tte_grad_from(i / p->w, t / p->kw, p->oh, p->top, p->stride_y, p->dilation_y);
            const int32_t ox = tte_grad_from(i % p->w, t % p->kw, p->ow, p->left, p->stride_x, p->dilation_x);
            if (oy < 0 || ox < 0) {
                continue;
            }
            const float *from = g + (oy * p->ow + ox) * p->g_pitch;
            for (int32_t o = 0; o < p->co; o++) {
                for (int32_t j = 0; j < p->c; j++) {
                    to[j] += from[o] * tte_grad_weight_at(p, w, o * taps + t, c + j);
                }
            }
        }
    }
}

TTE_INLINE void tte_grad_x(const tte_conv_grad_x_params *p, const float *restrict g, tte_grad_weights w,
                           float *restrict y, int32_t c)
{
    if (p->depthwise) {
        tte_depthwise_grad_x(p, g, w, y, c);
    } else if (p->pointwise) {
        tte_pointwise_grad_x(p, g, w, y, c);
    } else {
        tte_dense_grad_x(p, g, w, y, c);
    }
}

/**
 * y[iy,ix,ci] = sum over ky, kx, co, in this order, of g[oy,ox,co] * w[co,ky,kx,ci] where
 * iy = oy * stride - top + ky * dilation, and ix alike. Pointwise, g may be channels c.. of co, with their filters: then
 * they add to y, which the first begin. Otherwise y may be channels c.. of ci, with all weights; if depthwise so is g,
 * with their filters. Unless `rest` is NULL, w holds channels ci < k and `rest` the others; if depthwise, filters c < k,
 * and both are whole.
 */
TTE_KERNEL tte_conv_grad_x_s8(const tte_conv_grad_x_params *p, const float *restrict g, const int8_t *restrict w,
                              const int8_t *restrict rest, float *restrict y, int32_t c)
{
    tte_grad_x(p, g, (tte_grad_weights){w, rest, 1}, y, c);
}

/** As tte_conv_grad_x_s8. */
TTE_KERNEL tte_conv_grad_x_f32(const tte_conv_grad_x_params *p, const float *restrict g, const float *restrict w,
                               const float *restrict rest, float *restrict y, int32_t c)
{
    tte_grad_x(p, g, (tte_grad_weights){w, rest, 0}, y, c);
}

#endif
