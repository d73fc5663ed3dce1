/**
 * @file update.h  A step down the gradient; y may lie on w.
 * w, d, y: `channels` rows of `row` elements, beginning with channel c. rate[1], clock[2] = (step, seed). factor: of
 * all channels, by what rate * d is in units of w. number[1]: of the tensor, for its random bits.
 */
#ifndef TTE_UPDATE_H
#define TTE_UPDATE_H

#include "tte/tte_fixed.h"
#include "tte/tte_stepping.h"

typedef struct {
    int32_t channels, row;
} tte_update_params;

/** y = w - rate * d. */
TTE_KERNEL tte_update_f32(const tte_update_params *p, const float *w, const float *d, const float *rate,
                          const int32_t *clock, float *y, int32_t c)
{
    (void)clock;
    (void)c;
    for (int32_t i = 0; i < p->channels * p->row; i++) {
        y[i] = w[i] - rate[0] * d[i];
    }
}

/** y = w + floor(u - rate * factor * d), saturated. */
TTE_KERNEL tte_update_s8(const tte_update_params *p, const int8_t *w, const float *d, const float *rate,
                         const int32_t *clock, const float *factor, const int32_t *number, int8_t *y, int32_t c)
{
    const tte_key key = tte_key_of(clock, number[0]);
    for (int32_t j = 0; j < p->channels; j++) {
        const float by = rate[0] * factor[c + j];
        for (int32_t i = 0; i < p->row; i++) {
            const int32_t q = w[i] + tte_stochastic(by * d[i], tte_bits(key, (c + j) * p->row + i));
            y[i] = (int8_t)tte_clamp_s32(q, -128, 127);
        }
        w += p->row;
        d += p->row;
        y += p->row;
    }
}

/** y = w + floor(u - rate * factor * d), saturated; a step is 2^30 at most. */
TTE_KERNEL tte_update_s32(const tte_update_params *p, const int32_t *w, const float *d, const float *rate,
                          const int32_t *clock, const float *factor, const int32_t *number, int32_t *y, int32_t c)
{
    const tte_key key = tte_key_of(clock, number[0]);
    for (int32_t j = 0; j < p->channels; j++) {
        const float by = rate[0] * factor[c + j];
        for (int32_t i = 0; i < p->row; i++) {
            const int64_t q = (int64_t)w[i] + tte_stochastic(by * d[i], tte_bits(key, (c + j) * p->row + i));
            y[i] = (int32_t)(q < INT32_MIN ? INT32_MIN : q > INT32_MAX ? INT32_MAX : q);
        }
        w += p->row;
        d += p->row;
        y += p->row;
    }
}

#endif
