/** @file average_pool_grad.h  The gradient of an average pooling's input. */
#ifndef TTE_AVERAGE_POOL_GRAD_H
#define TTE_AVERAGE_POOL_GRAD_H

#include "tte/tte.h"

typedef struct {
    int32_t h, w, c;          /* y, or the part of its channels that is made */
    int32_t oh, ow;           /* g */
    int32_t kh, kw, stride_y, stride_x, top, left;
    int32_t count;            /* the divisor, or 0: as many elements as lie inside x */
    int32_t g_pitch, y_pitch; /* elements from one pixel to the next */
} tte_average_pool_grad_params;

/** Elements of window `at` of n that lie inside, along one axis. */
TTE_INLINE int32_t tte_pool_inside(int32_t at, int32_t size, int32_t stride, int32_t pad, int32_t n)
{
    const int32_t first = at * stride - pad, last = first + size;
    return (last < n ? last : n) - (first > 0 ? first : 0);
}

/** y[iy,ix,j] = sum over ky, kx, in this order, of g[oy,ox,j] / count with iy = oy * stride - top + ky, ix alike. */
TTE_KERNEL tte_average_pool_grad(const tte_average_pool_grad_params *p, const float *restrict g, float *restrict y,
                                 int32_t c)
{
    (void)c;
    for (int32_t i = 0; i < p->h * p->w; i++, y += p->y_pitch) {
        for (int32_t j = 0; j < p->c; j++) {
            y[j] = 0.0f;
        }
        for (int32_t t = 0; t < p->kh * p->kw; t++) {
            const int32_t up = i / p->w + p->top - t / p->kw, across = i % p->w + p->left - t % p->kw;
            const int32_t oy = up / p->stride_y, ox = across / p->stride_x;
            if (up < 0 || up % p->stride_y != 0 || oy >= p->oh || across < 0 || across % p->stride_x != 0
                || ox >= p->ow) {
                continue;
            }
            const int32_t inside = tte_pool_inside(oy, p->kh, p->stride_y, p->top, p->h)
                                   * tte_pool_inside(ox, p->kw, p->stride_x, p->left, p->w);
            const float count = (float)(p->count ? p->count : inside);
            const float *from = g + (oy * p->ow + ox) * p->g_pitch;
            for (int32_t j = 0; j < p->c; j++) {
                y[j] += from[j] / count;
            }
        }
    }
}

#endif
