/** @file conv_grad_w.h  The gradient of a convolution's weights. */
#ifndef TTE_CONV_GRAD_W_H
#define TTE_CONV_GRAD_W_H

#include "tte/tte.h"

typedef struct {
    int32_t h, w, k;          /* x, its channels, or the part of them that is taken */
    int32_t oh, ow, filters;  /* g; filters of y, or the part of them that is made */
    int32_t kh, kw;           /* filter */
    int32_t depthwise;
    int32_t stride_y, stride_x, top, left, dilation_y, dilation_x;
    int32_t zero_x;
    int32_t g_pitch, x_pitch; /* elements from one pixel to the next */
} tte_conv_grad_w_params;

/** Element i of x as a float that counts from zero. */
TTE_INLINE float tte_grad_input(const tte_conv_grad_w_params *p, const void *x, int32_t s8, int32_t i)
{
    return s8 ? (float)(((const int8_t *)x)[i] - p->zero_x) : ((const float *)x)[i];
}

/** One row y[n] of the result, for filter j and tap (ky, kx): n is 1 if depthwise, else k. */
TTE_INLINE void tte_grad_tap(const tte_conv_grad_w_params *p, const float *restrict g, const void *x, int32_t s8,
                             int32_t j, int32_t ky, int32_t kx, float *restrict y)
{
    const int32_t n = p->depthwise ? 1 : p->k;
    for (int32_t l = 0; l < n; l++) {
        y[l] = 0.0f;
    }
    for (int32_t oy = 0; oy < p->oh; oy++) {
        const int32_t row = oy * p->stride_y - p->top + ky * p->dilation_y;
        if (row < 0 || row >= p->h) {
            continue;
        }
        for (int32_t ox = 0; ox < p->ow; ox++) {
            const int32_t column = ox * p->stride_x - p->left + kx * p->dilation_x;
            if (column < 0 || column >= p->w) {
                continue;
            }
            const float v = g[(oy * p->ow + ox) * p->g_pitch + j];
            const int32_t from = (row * p->w + column) * p->x_pitch + (p->depthwise ? j : 0);
            for (int32_t l = 0; l < n; l++) {
                y[l] += v * tte_grad_input(p, x, s8, from + l);
            }
        }
    }
}

TTE_INLINE void tte_grad_w(const tte_conv_grad_w_params *p, const float *restrict g, const void *x, int32_t s8,
                           const float *restrict scale, float *restrict y)
{
    const int32_t n = p->depthwise ? 1 : p->k;
    for (int32_t j = 0; j < p->filters; j++) {
        for (int32_t t = 0; t < p->kh * p->kw; t++, y += n) {
            tte_grad_tap(p, g, x, s8, j, t / p->kw, t % p->kw, y);
            for (int32_t l = 0; l < n && scale; l++) {
                y[l] *= scale[j];
            }
        }
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
