/** @file rounded_grad_w.h  The gradient of a convolution's weights from a gradient in integers with steps. */
#ifndef TTE_ROUNDED_GRAD_W_H
#define TTE_ROUNDED_GRAD_W_H

#include "tte/tte.h"
#include "tte/tte_fixed.h"
#include "tte/tte_integers.h"

typedef struct {
    int32_t h, w, k;          /* x, its channels, or the part of them that is taken */
    int32_t oh, ow, filters;  /* g; filters of y, or the part of them that is made */
    int32_t kh, kw;           /* filter */
    int32_t depthwise, pointwise;
    int32_t stride_y, stride_x, top, left, dilation_y, dilation_x;
    int32_t zero_x;
    int32_t rows;             /* of g, whose products cannot overflow */
    int32_t g_pitch, x_pitch; /* elements from one pixel to the next */
} tte_rounded_grad_w_params;

/** The integer sums of rows first <= oy < last for tap (ky, kx), n channels (4 or 1) of x at l, and filter j of g. */
TTE_INLINE tte_sums4 tte_rounded_tap(const tte_rounded_grad_w_params *p, const void *g, int32_t s8, const int8_t *x,
                                     int32_t first, int32_t last, int32_t t, int32_t j, int32_t l, int32_t n)
{
    const int32_t ky = t / p->kw, kx = t % p->kw;
    const tte_span ys = tte_taken(ky, p->oh, p->h, p->top, p->stride_y, p->dilation_y);
    const tte_span xs = tte_taken(kx, p->ow, p->w, p->left, p->stride_x, p->dilation_x);
    tte_sums4 s = {0, 0, 0, 0};
    for (int32_t oy = tte_max_s32(ys.first, first); oy < tte_min_s32(ys.last, last); oy++) {
        const int32_t row = (oy * p->stride_y - p->top + ky * p->dilation_y) * p->w - p->left + kx * p->dilation_x;
        for (int32_t ox = xs.first; ox < xs.last; ox++) {
            const int32_t by = (oy * p->ow + ox) * p->g_pitch + j;
            const int8_t *at = x + (row + ox * p->stride_x) * p->x_pitch + l;
            const int32_t v = tte_integer_at(g, s8, by);
            s.a += v * (at[0] - p->zero_x);
            if (n == 4) {
                s.b += (p->depthwise ? tte_integer_at(g, s8, by + 1) : v) * (at[1] - p->zero_x);
                s.c += (p->depthwise ? tte_integer_at(g, s8, by + 2) : v) * (at[2] - p->zero_x);
                s.d += (p->depthwise ? tte_integer_at(g, s8, by + 3) : v) * (at[3] - p->zero_x);
            }
        }
    }
    return s;
}

/** The sums over all rows. */
TTE_INLINE tte_floats4 tte_rounded_taps(const tte_rounded_grad_w_params *p, const void *g, int32_t s8, const int8_t *x,
                                        int32_t t, int32_t j, int32_t l, int32_t n)
{
    tte_floats4 total = tte_all4(0.0f);
    if (p->rows >= p->oh) {
        return tte_floats_of(tte_rounded_tap(p, g, s8, x, 0, p->oh, t, j, l, n));
    }
    for (int32_t first = 0; first < p->oh; first += p->rows) {
        total = tte_plus4(total, tte_floats_of(tte_rounded_tap(p, g, s8, x, first, first + p->rows, t, j, l, n)));
    }
    return total;
}

TTE_INLINE void tte_rounded_grad_w(const tte_rounded_grad_w_params *p, const void *g, int32_t s8, const float *step,
                                   const int8_t *x, const float *scale, float *restrict y)
{
    const int32_t taps = p->kh * p->kw, columns = p->depthwise ? 1 : p->k;
    for (int32_t j = 0, many; j < p->filters; j += many) {
        many = p->depthwise && j + 4 <= p->filters ? 4 : 1;
        for (int32_t t = 0; t < taps; t++) {
            for (int32_t l = 0, n; l < columns; l += n) {
                n = many == 4 || (!p->depthwise && l + 4 <= columns) ? 4 : 1;
                const tte_floats4 s = tte_rounded_taps(p, g, s8, x, t, j, p->depthwise ? j : l, n);
                const int32_t each = p->depthwise ? taps : 1, by = many == 4;
                float *to = y + (j * taps + t) * columns + l;
                to[0] = s.a * (step[j] * scale[j]);
                if (n == 4) {
                    to[each] = s.b * (step[j + by] * scale[j + by]);
                    to[2 * each] = s.c * (step[j + 2 * by] * scale[j + 2 * by]);
                    to[3 * each] = s.d * (step[j + 3 * by] * scale[j + 3 * by]);
                }
            }
        }
    }
}

/**
 * As tte_conv_grad_w_s8 of g * step: products are added as integers over so many rows of g as cannot overflow, these
 * sums in f32, in order, and the total is multiplied by step[co] * scale[co].
 */
TTE_KERNEL tte_rounded_grad_w_s8(const tte_rounded_grad_w_params *p, const int8_t *restrict g,
                                 const float *restrict step, const int8_t *restrict x, const float *restrict scale,
                                 float *restrict y, int32_t c)
{
    (void)c;
    tte_rounded_grad_w(p, g, 1, step, x, scale, y);
}

/** As tte_rounded_grad_w_s8. */
TTE_KERNEL tte_rounded_grad_w_s16(const tte_rounded_grad_w_params *p, const int16_t *restrict g,
                                  const float *restrict step, const int8_t *restrict x, const float *restrict scale,
                                  float *restrict y, int32_t c)
{
    (void)c;
    tte_rounded_grad_w(p, g, 0, step, x, scale, y);
}

#endif
