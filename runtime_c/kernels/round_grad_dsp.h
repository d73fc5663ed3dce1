/** @file round_grad_dsp.h  Gradients rounded to integers, four channels at a time, for an FPU beside DSP instructions. */
#ifndef TTE_ROUND_GRAD_DSP_H
#define TTE_ROUND_GRAD_DSP_H

#include "tte/kernels/round_grad.h"
#include "tte/simd/dsp.h"
#include "tte/tte.h"

/** Bit l of `bits` as a word of ones or zeros. */
#define TTE_DSP_ONES(bits, l) ((int32_t)((uint32_t)(bits) << (31 - (l))) >> 31)

/** Four bits of a mask, from a multiple of 4 on. */
TTE_INLINE int32_t tte_dsp_bits4(const uint8_t *mask, int32_t i)
{
    return mask[i >> 3] >> (i & 4);
}

/** The greater of `most` and |v|, as bits, where `on` is ones. */
TTE_INLINE int32_t tte_dsp_most(int32_t most, float v, int32_t on)
{
    return tte_max_s32(most, tte_bits_of(v) & (int32_t)((uint32_t)on >> 1));
}

/** The bits of the greatest |g * scale| of channels j to j + 4 each. */
typedef struct { int32_t a, b, c, d; } tte_dsp_peaks;

TTE_INLINE tte_dsp_peaks tte_dsp_peaks_of(const tte_round_grad_params *p, const float *g, const uint8_t *mask,
                                          const float *scale, int32_t c)
{
    tte_dsp_peaks most = {0, 0, 0, 0};
    for (int32_t i = 0; i < p->pixels; i++, g += p->g_pitch) {
        const int32_t bits = tte_dsp_bits4(mask, i * p->mask_pitch + c);
        most.a = tte_dsp_most(most.a, g[0], TTE_DSP_ONES(bits, 0));
        most.b = tte_dsp_most(most.b, g[1], TTE_DSP_ONES(bits, 1));
        most.c = tte_dsp_most(most.c, g[2], TTE_DSP_ONES(bits, 2));
        most.d = tte_dsp_most(most.d, g[3], TTE_DSP_ONES(bits, 3));
    }
    most.a = tte_magnitude(tte_float_of_bits(most.a) * scale[0]);
    most.b = tte_magnitude(tte_float_of_bits(most.b) * scale[1]);
    most.c = tte_magnitude(tte_float_of_bits(most.c) * scale[2]);
    most.d = tte_magnitude(tte_float_of_bits(most.d) * scale[3]);
    return most;
}

/** v * by to the nearest, within the range of `bits` but the least, where `on` is ones, else 0. */
TTE_INLINE int32_t tte_dsp_rounded(float v, float by, int32_t on, int32_t bits)
{
    const int32_t q = tte_dsp_round(v * by), limit = (1 << (bits - 1)) - 1;
    return tte_clamp_s32(q, -limit, limit) & on;
}

/** Four channels, y as in tte_round_grad. */
TTE_INLINE void tte_dsp_round_four(const tte_round_grad_params *p, const float *g, const uint8_t *mask, tte_floats4 by,
                                   void *y, int32_t c, int32_t bits)
{
    for (int32_t i = 0; i < p->pixels; i++, g += p->g_pitch) {
        const int32_t on = tte_dsp_bits4(mask, i * p->mask_pitch + c);
        const int32_t q0 = tte_dsp_rounded(g[0], by.a, TTE_DSP_ONES(on, 0), bits);
        const int32_t q1 = tte_dsp_rounded(g[1], by.b, TTE_DSP_ONES(on, 1), bits);
        const int32_t q2 = tte_dsp_rounded(g[2], by.c, TTE_DSP_ONES(on, 2), bits);
        const int32_t q3 = tte_dsp_rounded(g[3], by.d, TTE_DSP_ONES(on, 3), bits);
        if (bits == 8) {
            int8_t *to = (int8_t *)y + i * p->y_pitch;
            to[0] = (int8_t)q0, to[1] = (int8_t)q1, to[2] = (int8_t)q2, to[3] = (int8_t)q3;
        } else {
            int16_t *to = (int16_t *)y + i * p->y_pitch;
            to[0] = (int16_t)q0, to[1] = (int16_t)q1, to[2] = (int16_t)q2, to[3] = (int16_t)q3;
        }
    }
}
