/** @file depthwise_s8.h  Convolution in s8 with one filter per channel: one row of the result. */
#ifndef TTE_DEPTHWISE_S8_H
#define TTE_DEPTHWISE_S8_H

#include "tte/kernels/conv_s8.h"

typedef tte_conv_s8_params tte_depthwise_s8_params;

/** The sum of channel j in column ox. */
TTE_INLINE int32_t tte_depthwise_sum(const tte_depthwise_s8_params *p, const void *const *x, tte_span ky, tte_span kx,
                                     int32_t ox, int32_t j, const int8_t *w)
{
    int32_t sum = 0;
    for (int32_t i = ky.first; i < ky.last; i++) {
        const int8_t *const row = (const int8_t *)x[i] + (ox * p->stride - p->left) * p->c + j;
        for (int32_t k = kx.first; k < kx.last; k++) {
            sum += (row[k * p->dilation * p->c] - p->zero_x) * w[(i * p->kw + k) * p->c + j];
        }
    }
    return sum;
}

/** As tte_conv_s8 for cg = 1 and co = c, with weights w[kh,kw,c]. */
TTE_KERNEL tte_depthwise_s8(const tte_depthwise_s8_params *p, const void *const *x, tte_span ky,
                            const int8_t *restrict w, const int32_t *restrict b, const int32_t *restrict q,
                            int8_t *restrict y, uint8_t *restrict mask, int32_t r)
{
    const tte_span all = {0, p->kw};
    tte_mask_begin(mask, r * p->ow * p->co, p->ow * p->co);
    for (int32_t ox = 0; ox < p->ow; ox++, y += p->co) {
        const tte_span kx = tte_conv_columns(p, ox);
        const int32_t at = (r * p->ow + ox) * p->co;
        if (kx.first == 0 && kx.last == p->kw) {
            for (int32_t j = 0; j < p->co; j++) {
                tte_conv_finish(p, j, tte_depthwise_sum(p, x, ky, all, ox, j, w), b, q, y, mask, at);
            }
        } else {
            for (int32_t j = 0; j < p->co; j++) {
                tte_conv_finish(p, j, tte_depthwise_sum(p, x, ky, kx, ox, j, w), b, q, y, mask, at);
            }
        }
    }
}

#endif
