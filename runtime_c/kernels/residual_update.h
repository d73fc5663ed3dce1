/**
 * @file residual_update.h  A step down the gradient that keeps what is below one; y may lie on w and y1 on r.
 * w, r, d, y, y1: `channels` rows of `row` elements, beginning with channel c. rate[1], clock[2] = (step, seed). factor:
 * of all channels, by what rate * d is in units of w. number[1]: of the tensor, for its random bits.
 */
#ifndef TTE_RESIDUAL_UPDATE_H
#define TTE_RESIDUAL_UPDATE_H

#include "tte/tte_fixed.h"
#include "tte/tte_stepping.h"

typedef struct {
    int32_t channels, row;
} tte_residual_update_params;

/** w * one + r after a step of t * one, rounded stochastically, saturated; `one` is 2^8 or 2^16. */
TTE_INLINE int32_t tte_fixed_step(int32_t w, int32_t r, float t, int32_t one, uint32_t bits)
{
    const int32_t to = w * one + r + tte_stochastic(t * (float)one, bits);
    return tte_clamp_s32(to, -128 * one - one / 2, 127 * one + one / 2 - 1);
}

/** (y + y1 / 2^8) = (w + r / 2^8) - rate * factor * d. */
TTE_KERNEL tte_residual_update_s8(const tte_residual_update_params *p, const int8_t *w, const int8_t *r, const float *d,
                                  const float *rate, const int32_t *clock, const float *factor, const int32_t *number,
                                  int8_t *y, int8_t *y1, int32_t c)
{
    const tte_key key = tte_key_of(clock, number[0]);
    for (int32_t j = 0; j < p->channels; j++) {
        const float by = rate[0] * factor[c + j];
        for (int32_t i = 0; i < p->row; i++) {
            const uint32_t bits = tte_bits(key, (c + j) * p->row + i);
            const int32_t to = tte_fixed_step(w[i], r[i], by * d[i], 256, bits);
            y[i] = (int8_t)((to + 128) >> 8);
            y1[i] = (int8_t)(to - ((to + 128) >> 8) * 256);
        }
        w += p->row;
        r += p->row;
        d += p->row;
        y += p->row;
        y1 += p->row;
    }
}

/** (y + y1 / 2^16) = (w + r / 2^16) - rate * factor * d. */
TTE_KERNEL tte_residual_update_s16(const tte_residual_update_params *p, const int8_t *w, const int16_t *r,
                                   const float *d, const float *rate, const int32_t *clock, const float *factor,
                                   const int32_t *number, int8_t *y, int16_t *y1, int32_t c)
{
    const tte_key key = tte_key_of(clock, number[0]);
    for (int32_t j = 0; j < p->channels; j++) {
        const float by = rate[0] * factor[c + j];
        for (int32_t i = 0; i < p->row; i++) {
            const uint32_t bits = tte_bits(key, (c + j) * p->row + i);
            const int32_t to = tte_fixed_step(w[i], r[i], by * d[i], 65536, bits);
            y[i] = (int8_t)((to + 32768) >> 16);
            y1[i] = (int16_t)(to - ((to + 32768) >> 16) * 65536);
        }
        w += p->row;
        r += p->row;
        d += p->row;
        y += p->row;
        y1 += p->row;
    }
}

#endif
