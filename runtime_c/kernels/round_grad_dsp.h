/** @file round_grad_dsp.h  Gradients rounded to integers, four channels at a time, for an FPU beside DSP instructions. */
#ifndef TTE_ROUND_GRAD_DSP_H
#define TTE_ROUND_GRAD_DSP_H

#include "tte/kernels/round_grad.h"
#include "tte/simd/dsp.h"
#include "tte/tte.h"
#include "tte/tte_floats4.h"

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

/** Of four channels, the bits of the greatest |g * scale|; or the powers of their steps. */
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

/** v * by to the nearest, within the range of `bits`, where `on` is ones, else 0. */
TTE_INLINE int32_t tte_dsp_rounded(float v, float by, int32_t on, int32_t bits)
{
    const int32_t q = tte_dsp_round(v * by);
    int32_t y;
    if (bits == 8) {
        y = tte_dsp_ssat8(q);
    } else {
        __asm__("ssat %0, #16, %1" : "=r"(y) : "r"(q));
    }
    return y & on;
}

/** Four channels, each times its `by`; y as in tte_round_grad. */
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

/** Channels j to j + 4, whose steps have these powers. */
TTE_INLINE void tte_dsp_round_by(const tte_round_grad_params *p, const float *g, const uint8_t *mask,
                                 const float *scale, int32_t j, tte_dsp_peaks powers, void *y, float *step, int32_t c,
                                 int32_t bits)
{
    const tte_floats4 by = {scale[j] * tte_power_of_2(-powers.a), scale[j + 1] * tte_power_of_2(-powers.b),
                            scale[j + 2] * tte_power_of_2(-powers.c), scale[j + 3] * tte_power_of_2(-powers.d)};
    step[j] = tte_power_of_2(powers.a);
    step[j + 1] = tte_power_of_2(powers.b);
    step[j + 2] = tte_power_of_2(powers.c);
    step[j + 3] = tte_power_of_2(powers.d);
    tte_dsp_round_four(p, g + j, mask, by, (int8_t *)y + (bits == 8 ? j : 2 * j), c + j, bits);
}

/** Where channels and groups are multiples of 4, or a group is one channel; c is a multiple of 4. */
TTE_INLINE void tte_dsp_round_grad(const tte_round_grad_params *p, const float *g, const uint8_t *mask,
                                   const float *scale, void *y, float *step, int32_t c, int32_t bits)
{
    if (p->group == 1) {
        for (int32_t j = 0; j < p->channels; j += 4) {
            const tte_dsp_peaks peaks = tte_dsp_peaks_of(p, g + j, mask, scale + j, c + j);
            const tte_dsp_peaks powers = {tte_step_power(peaks.a, bits), tte_step_power(peaks.b, bits),
                                          tte_step_power(peaks.c, bits), tte_step_power(peaks.d, bits)};
            tte_dsp_round_by(p, g, mask, scale, j, powers, y, step, c, bits);
        }
        return;
    }
    for (int32_t first = 0; first < p->channels; first += p->group) {
        int32_t peak = 0;
        for (int32_t j = first; j < first + p->group; j += 4) {
            const tte_dsp_peaks peaks = tte_dsp_peaks_of(p, g + j, mask, scale + j, c + j);
            peak = tte_max_s32(peak, tte_max_s32(tte_max_s32(peaks.a, peaks.b), tte_max_s32(peaks.c, peaks.d)));
        }
        const int32_t power = tte_step_power(peak, bits);
        for (int32_t j = first; j < first + p->group; j += 4) {
            tte_dsp_round_by(p, g, mask, scale, j, (tte_dsp_peaks){power, power, power, power}, y, step, c, bits);
        }
    }
}

/** As tte_round_grad_s8, where the mask's channels are multiples of 4, and a group too or one channel. */
TTE_KERNEL tte_round_grad_s8_dsp(const tte_round_grad_params *p, const float *restrict g,
                                 const uint8_t *restrict mask, const float *restrict scale, int8_t *restrict y,
                                 float *restrict step, int32_t c)
{
    tte_dsp_round_grad(p, g, mask, scale, y, step, c, 8);
}

/** As tte_round_grad_s8_dsp. */
TTE_KERNEL tte_round_grad_s16_dsp(const tte_round_grad_params *p, const float *restrict g,
                                  const uint8_t *restrict mask, const float *restrict scale, int16_t *restrict y,
                                  float *restrict step, int32_t c)
{
    tte_dsp_round_grad(p, g, mask, scale, y, step, c, 16);
}

#endif
