/** @file max_pool_grad.h  The gradient of a maximum pooling's input. */
#ifndef TTE_MAX_POOL_GRAD_H
#define TTE_MAX_POOL_GRAD_H

#include "tte/tte.h"
#include "tte/tte_floats4.h"

typedef struct {
    int32_t h, w, c;                   /* y, or the part of its channels that is made */
    int32_t oh, ow;                    /* g */
    int32_t kh, kw, stride_y, stride_x, top, left;
    float below, above;                /* between them elements have a gradient */
    int32_t g_pitch, x_pitch, y_pitch; /* elements from one pixel to the next */
} tte_max_pool_grad_params;

/** Where the greatest element of channel j lies in the window that begins at row iy, column ix: the first of equals. */
TTE_INLINE int32_t tte_greatest(const tte_max_pool_grad_params *p, const void *x, int32_t s8, int32_t iy, int32_t ix,
                                int32_t j)
{
    const int32_t first = iy > 0 ? iy : 0, left = ix > 0 ? ix : 0;
    const int32_t last = iy + p->kh < p->h ? iy + p->kh : p->h, right = ix + p->kw < p->w ? ix + p->kw : p->w;
    int32_t best = first * p->w + left;
    for (int32_t row = first; row < last; row++) {
        for (int32_t i = row * p->w + left; i < row * p->w + right; i++) {
            const float a = tte_float_at(x, s8, i * p->x_pitch + j), b = tte_float_at(x, s8, best * p->x_pitch + j);
            best = a > b ? i : best;
        }
    }
    return best;
}

TTE_INLINE void tte_max_pool_grad(const tte_max_pool_grad_params *p, const float *restrict g, const void *x,
                                  int32_t s8, float *restrict y)
{
    for (int32_t i = 0; i < p->h * p->w; i++) {
        for (int32_t j = 0; j < p->c; j++) {
            y[i * p->y_pitch + j] = 0.0f;
        }
    }
    for (int32_t oy = 0; oy < p->oh; oy++) {
        for (int32_t ox = 0; ox < p->ow; ox++, g += p->g_pitch) {
            for (int32_t j = 0; j < p->c; j++) {
                const int32_t at = tte_greatest(p, x, s8, oy * p->stride_y - p->top, ox * p->stride_x - p->left, j);
                const float best = tte_float_at(x, s8, at * p->x_pitch + j);
                y[at * p->y_pitch + j] += best > p->below && best < p->above ? g[j] : 0.0f;
            }
        }
    }
}

/** y = 0, then y[the greatest element of the window at oy, ox, j] += g[oy,ox,j] if that lies
 * between below and above, in order of oy, ox. */
TTE_KERNEL tte_max_pool_grad_s8(const tte_max_pool_grad_params *p, const float *restrict g, const int8_t *restrict x,
                                float *restrict y, int32_t c)
{
    (void)c;
    tte_max_pool_grad(p, g, x, 1, y);
}

/** As tte_max_pool_grad_s8. */
TTE_KERNEL tte_max_pool_grad_f32(const tte_max_pool_grad_params *p, const float *restrict g, const float *restrict x,
                                 float *restrict y, int32_t c)
{
    (void)c;
    tte_max_pool_grad(p, g, x, 0, y);
}

#endif
