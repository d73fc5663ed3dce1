/** @file rounded_grad_w_dsp.h  The gradient of a convolution's weights in integers, for Arm's DSP extension. */
#ifndef TTE_ROUNDED_GRAD_W_DSP_H
#define TTE_ROUNDED_GRAD_W_DSP_H

#include "tte/kernels/rounded_grad_w.h"
#include "tte/simd/dsp_grad.h"
#include "tte/tte.h"

/** to[(pixels + 1) / 2, 4] = filters j to j + 4 of g, two pixels in a word; after the last pixel there is zero. */
TTE_INLINE void tte_dsp_pixel_pairs(const tte_rounded_grad_w_params *p, const void *g, int32_t s8, int32_t j,
                                    int32_t *to)
{
    const int32_t pixels = p->oh * p->ow;
    for (int32_t i = 0; i < pixels; i += 2, to += 4) {
        for (int32_t l = 0; l < 4; l++) {
            const int32_t at = i * p->g_pitch + j + l;
            to[l] = tte_dsp_pair(tte_integer_at(g, s8, at), i + 1 < pixels ? tte_integer_at(g, s8, at + p->g_pitch) : 0);
        }
    }
}

/** Sums for four filters, of one channel of x each. */
typedef struct { tte_sums4 a, b; } tte_dsp_columns;

/** Pixels of n channels of x (2 or 1), two at a time, times those of four filters. */
TTE_INLINE tte_dsp_columns tte_dsp_pixel_sums(const tte_rounded_grad_w_params *p, const int32_t *g, const int8_t *x,
                                              int32_t n)
{
    const int32_t pixels = p->oh * p->ow, offset = tte_dsp_twice(-p->zero_x);
    tte_dsp_columns s = {{0, 0, 0, 0}, {0, 0, 0, 0}};
    for (int32_t i = 0; i < pixels; i += 2, g += 4, x += 2 * p->x_pitch) {
        const int8_t *second = i + 1 < pixels ? x + p->x_pitch : x;
        int32_t both;
        if (n == 2) {
            both = tte_dsp_pair(tte_dsp_load2(x), tte_dsp_load2(second));
        } else {
            both = tte_dsp_pair(*x, *second);
        }
        const int32_t a = tte_dsp_even(offset, both), b = tte_dsp_odd(offset, both);
        s.a = (tte_sums4){tte_dsp_mla2(g[0], a, s.a.a), tte_dsp_mla2(g[1], a, s.a.b), tte_dsp_mla2(g[2], a, s.a.c),
                          tte_dsp_mla2(g[3], a, s.a.d)};
        if (n == 2) {
            s.b = (tte_sums4){tte_dsp_mla2(g[0], b, s.b.a), tte_dsp_mla2(g[1], b, s.b.b),
                              tte_dsp_mla2(g[2], b, s.b.c), tte_dsp_mla2(g[3], b, s.b.d)};
        }
    }
    return s;
}

/** Every pixel by itself: four filters, two channels of x at a time. */
TTE_INLINE void tte_dsp_pointwise_w(const tte_rounded_grad_w_params *p, const void *g, int32_t s8, const float *step,
                                    const int8_t *x, const float *scale, float *y, int32_t *pairs)
{
    for (int32_t j = 0; j < p->filters; j += 4) {
        const tte_floats4 by = tte_times4(tte_load4(step + j), tte_load4(scale + j));
        tte_dsp_pixel_pairs(p, g, s8, j, pairs);
        for (int32_t l = 0, n; l < p->k; l += n) {
            n = l + 1 < p->k ? 2 : 1;
            const tte_dsp_columns s = n == 2 ? tte_dsp_pixel_sums(p, pairs, x + l, 2)
                                             : tte_dsp_pixel_sums(p, pairs, x + l, 1);
            const tte_floats4 a = tte_times4(tte_floats_of(s.a), by), b = tte_times4(tte_floats_of(s.b), by);
            float *to = y + j * p->k + l;
            to[0] = a.a, to[p->k] = a.b, to[2 * p->k] = a.c, to[3 * p->k] = a.d;
            if (n == 2) {
                to[1] = b.a, to[p->k + 1] = b.b, to[2 * p->k + 1] = b.c, to[3 * p->k + 1] = b.d;
            }
        }
    }
}

/** As tte_rounded_grad_w_s8, pointwise, for filters by fours and no more rows than p->rows. Scratch, words: `pairs`. */
TTE_KERNEL tte_rounded_grad_w_s8_dsp(const tte_rounded_grad_w_params *p, const int8_t *restrict g,
                                     const float *restrict step, const int8_t *restrict x,
                                     const float *restrict scale, float *restrict y, int8_t *restrict scratch,
                                     int32_t c)
{
    (void)c;
    tte_dsp_pointwise_w(p, g, 1, step, x, scale, y, (int32_t *)(void *)scratch);
}

/** As tte_rounded_grad_w_s8_dsp. */
TTE_KERNEL tte_rounded_grad_w_s16_dsp(const tte_rounded_grad_w_params *p, const int16_t *restrict g,
                                      const float *restrict step, const int8_t *restrict x,
                                      const float *restrict scale, float *restrict y, int8_t *restrict scratch,
                                      int32_t c)
{
    (void)c;
    tte_dsp_pointwise_w(p, g, 0, step, x, scale, y, (int32_t *)(void *)scratch);
}

#endif
