/** @file depthwise_s8.h  Convolution in s8 with one filter per channel: one row of the result. */
#ifndef TTE_DEPTHWISE_S8_H
#define TTE_DEPTHWISE_S8_H

#include "tte/kernels/conv_s8.h"

typedef tte_conv_s8_params tte_depthwise_s8_params;

/** As tte_conv_s8 for cg = 1 and co = c, with weights w[kh,kw,c]. */
TTE_KERNEL tte_depthwise_s8(const tte_depthwise_s8_params *p, const void *const *x, tte_span ky,
                            const int8_t *restrict w, const int32_t *restrict b, const int32_t *restrict q,
                            int8_t *restrict y)
{
    for (int32_t ox = 0; ox < p->ow; ox++) {
        const tte_span kx = tte_conv_columns(p, ox);
        for (int32_t j = 0; j < p->co; j++) {
            int32_t sum = 0;
            for (int32_t i = ky.first; i < ky.last; i++) {
                const int8_t *row = (const int8_t *)x[i] + (ox * p->stride - p->left) * p->c + j;
                for (int32_t k = kx.first; k < kx.last; k++) {
                    sum += (row[k * p->dilation * p->c] - p->zero_x) * w[(i * p->kw + k) * p->c + j];
                }
            }
            y[ox * p->co + j] = tte_conv_finish(p, j, sum, b, q);
        }
    }
}

#endif
