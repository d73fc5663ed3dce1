/**
 * @file master_update.h  A step down the gradient of weights whose masters are floats; y may lie on w, y1 on the master.
 * w, master, d, y, y1: `channels` rows of `row` elements, beginning with channel c. rate[1]. factor: of all channels, by
 * what rate * d is in units of w.
 */
#ifndef TTE_MASTER_UPDATE_H
#define TTE_MASTER_UPDATE_H

#include "tte/tte_fixed.h"

typedef struct {
    int32_t channels, row;
} tte_master_update_s8_params;

/** y1 = clamp(master - rate * factor * d, -128, 127); y is the nearest integer, ties to even. */
TTE_KERNEL tte_master_update_s8(const tte_master_update_s8_params *p, const int8_t *w, const float *master,
                                const float *d, const float *rate, const float *factor, int8_t *y, float *y1, int32_t c)
{
    (void)w;
    for (int32_t j = 0; j < p->channels; j++) {
        const float by = rate[0] * factor[c + j];
        for (int32_t i = 0; i < p->row; i++) {
            const float t = by * d[i];
            const float to = t == t ? master[i] - t : master[i];
            const float kept = to < -128.0f ? -128.0f : to > 127.0f ? 127.0f : to;
            y1[i] = kept;
            y[i] = (int8_t)tte_round_even(kept);
        }
        master += p->row;
        d += p->row;
        y += p->row;
        y1 += p->row;
    }
}

#endif
