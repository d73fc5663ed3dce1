/** @file rounded_bias_grad.h  The gradient of a bias from a gradient in integers with steps. */
#ifndef TTE_ROUNDED_BIAS_GRAD_H
#define TTE_ROUNDED_BIAS_GRAD_H

#include "tte/tte.h"
#include "tte/tte_integers.h"

typedef struct {
    int32_t pixels, channels; /* of g */
    int32_t g_pitch;          /* elements from one pixel to the next */
} tte_rounded_bias_grad_params;

TTE_INLINE void tte_rounded_bias_grad(const tte_rounded_bias_grad_params *p, const void *g, int32_t s8,
                                      const float *step, const float *scale, float *restrict y)
{
    for (int32_t j = 0; j + 4 <= p->channels; j += 4) {
        tte_sums4 s = {0, 0, 0, 0};
        for (int32_t i = 0, at = j; i < p->pixels; i++, at += p->g_pitch) {
            s.a += tte_integer_at(g, s8, at);
            s.b += tte_integer_at(g, s8, at + 1);
            s.c += tte_integer_at(g, s8, at + 2);
            s.d += tte_integer_at(g, s8, at + 3);
        }
        const tte_floats4 by = tte_times4(tte_load4(step + j), tte_load4(scale + j));
        tte_store4(y + j, tte_times4(tte_floats_of(s), by));
    }
    for (int32_t j = p->channels / 4 * 4; j < p->channels; j++) {
        int32_t sum = 0;
        for (int32_t i = 0; i < p->pixels; i++) {
            sum += tte_integer_at(g, s8, i * p->g_pitch + j);
        }
        y[j] = (float)sum * (step[j] * scale[j]);
    }
}

/** y[j] = (sum of g[i,j] over pixels i, in integers) * (step[j] * scale[j]). Any c is alike. */
TTE_KERNEL tte_rounded_bias_grad_s8(const tte_rounded_bias_grad_params *p, const int8_t *restrict g,
                                    const float *restrict step, const float *restrict scale, float *restrict y,
                                    int32_t c)
{
    (void)c;
    tte_rounded_bias_grad(p, g, 1, step, scale, y);
}

/** As tte_rounded_bias_grad_s8. */
TTE_KERNEL tte_rounded_bias_grad_s16(const tte_rounded_bias_grad_params *p, const int16_t *restrict g,
                                     const float *restrict step, const float *restrict scale, float *restrict y,
                                     int32_t c)
{
    (void)c;
    tte_rounded_bias_grad(p, g, 0, step, scale, y);
}

#endif
