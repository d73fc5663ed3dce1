/** @file round_grad.h  Gradients before a clamp, rounded to integers with power-of-two steps. */
#ifndef TTE_ROUND_GRAD_H
#define TTE_ROUND_GRAD_H

#include "tte/tte.h"
#include "tte/tte_fixed.h"

typedef struct {
    int32_t pixels, channels;             /* of y */
    int32_t group;                        /* neighbouring channels that share a step */
    int32_t mask_pitch, g_pitch, y_pitch; /* elements from one pixel to the next */
} tte_round_grad_params;

/** The bits of v; without the sign they are ordered as |v| is, and what is no number comes last. */
TTE_INLINE int32_t tte_bits_of(float v)
{
    int32_t bits;
    __builtin_memcpy(&bits, &v, sizeof bits);
    return bits;
}

TTE_INLINE int32_t tte_magnitude(float v) { return tte_bits_of(v) & 0x7fffffff; }

/** 2^n for |n| < 127. */
TTE_INLINE float tte_power_of_2(int32_t n) { return tte_float_of_bits((127 + n) * (1 << 23)); }

/** The power of the step with which what has the magnitude `peak` takes all `bits` bits. */
TTE_INLINE int32_t tte_step_power(int32_t peak, int32_t bits)
{
    return tte_clamp_s32((peak >> 23) - 127 - (bits - 2), -100, 100);
}

/** v to the nearest integer of `width` <= 16 bits, ties to even; what is no number becomes 0. Needs no FPU. */
TTE_INLINE int32_t tte_round_within(float v, int32_t width)
{
    const int32_t negative = tte_bits_of(v) < 0, limit = (1 << (width - 1)) - 1 + negative;
    const int32_t bits = tte_magnitude(v), shift = 150 - (bits >> 23);
    const uint32_t digits = ((uint32_t)bits & 0x7fffffu) | 0x800000u; /* |v| = digits / 2^shift */
    int32_t y = 0;
    if (shift < 8) {
        y = bits > 0x7f800000 ? 0 : limit;
    } else if (shift <= 24) {
        const uint32_t whole = digits >> shift, rest = digits << (32 - shift);
        y = tte_min_s32((int32_t)(whole + (rest > 0x80000000u - (whole & 1u))), limit);
    }
    return negative ? -y : y;
}

/** Element i of a mask. */
TTE_INLINE int32_t tte_bit_at(const uint8_t *mask, int32_t i)
{
    return mask[i >> 3] >> (i & 7) & 1;
}

/** The magnitude of the greatest of a group, which begins at channel j. */
TTE_INLINE int32_t tte_round_peak(const tte_round_grad_params *p, const float *g, const uint8_t *mask,
                                  const float *scale, int32_t j, int32_t c)
{
    int32_t peak = 0;
    for (int32_t l = j; l < j + p->group; l++) {
        int32_t most = 0;
        for (int32_t i = 0; i < p->pixels; i++) {
            if (tte_bit_at(mask, i * p->mask_pitch + c + l)) {
                most = tte_max_s32(most, tte_magnitude(g[i * p->g_pitch + l]));
            }
        }
        peak = tte_max_s32(peak, tte_magnitude(tte_float_of_bits(most) * scale[l]));
    }
    return peak;
}

/** y is int8_t or int16_t. */
TTE_INLINE void tte_round_grad(const tte_round_grad_params *p, const float *g, const uint8_t *mask, const float *scale,
                               void *y, float *step, int32_t c, int32_t bits)
{
    for (int32_t j = 0; j < p->channels; j += p->group) {
        const int32_t power = tte_step_power(tte_round_peak(p, g, mask, scale, j, c), bits);
        for (int32_t l = j; l < j + p->group; l++) {
            const float by = scale[l] * tte_power_of_2(-power);
            step[l] = tte_power_of_2(power);
            for (int32_t i = 0; i < p->pixels; i++) {
                const int32_t on = tte_bit_at(mask, i * p->mask_pitch + c + l), at = i * p->y_pitch + l;
                if (bits == 8) {
                    ((int8_t *)y)[at] = on ? (int8_t)tte_round_within(g[i * p->g_pitch + l] * by, 8) : 0;
                } else {
                    ((int16_t *)y)[at] = on ? (int16_t)tte_round_within(g[i * p->g_pitch + l] * by, 16) : 0;
                }
            }
        }
    }
}

/**
 * y[i,j] = g[i,j] * scale[j] / step[j] to the nearest, ties to even, where bit [i,c+j] of the mask, which is whole, is
 * set, else 0. step[j], a power of two, is one for each group of channels, whose greatest element takes 7 bits.
 */
TTE_KERNEL tte_round_grad_s8(const tte_round_grad_params *p, const float *restrict g, const uint8_t *restrict mask,
                             const float *restrict scale, int8_t *restrict y, float *restrict step, int32_t c)
{
    tte_round_grad(p, g, mask, scale, y, step, c, 8);
}

/** As tte_round_grad_s8, in 15 bits. */
TTE_KERNEL tte_round_grad_s16(const tte_round_grad_params *p, const float *restrict g, const uint8_t *restrict mask,
                              const float *restrict scale, int16_t *restrict y, float *restrict step, int32_t c)
{
    tte_round_grad(p, g, mask, scale, y, step, c, 16);
}

#endif
