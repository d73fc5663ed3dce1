/** @file conv_f32.h  Convolution in f32, any groups: one row of the result. */
#ifndef TTE_CONV_F32_H
#define TTE_CONV_F32_H

#include "tte/tte.h"

typedef struct {
    int32_t w, c;        /* width and channels of x */
    int32_t kh, kw, cg;  /* filter, and its channels: c / groups */
    int32_t ow, co;      /* width and channels of y */
    int32_t filters, k;  /* what of the filters lies in w: so many, and so many channels of each; co and cg if all */
    int32_t stride, left, dilation; /* along the row */
    int32_t pixels;      /* of y */
    float low, high;
} tte_conv_f32_params;

/** sum plus k products, one after the other. */
TTE_INLINE float tte_conv_f32_dot(float sum, const float *x, const float *w, int32_t k)
{
    for (int32_t l = 0; l < k; l++) {
        sum += x[l] * w[l];
    }
    return sum;
}

/**
 * y[ow,co] = clamp(sum over ky, kx, ci of x[ky][ox * stride - left + kx * dilation, ci] * w[co,ky,kx,ci] + b[co]).
 * Products are added in that order, those outside x as zero; then the bias. w holds the first k channels of the first
 * `filters` filters; the remaining ones lie in `rest`, which is NULL if there are none.
 */
TTE_KERNEL tte_conv_f32(const tte_conv_f32_params *p, const void *const *x, tte_span ky, const float *restrict w,
                        const float *restrict b, const float *restrict rest, float *restrict y)
{
    const int32_t per_group = p->co / (p->c / p->cg);
    for (int32_t ox = 0; ox < p->ow; ox++) {
        for (int32_t j = 0; j < p->co; j++) {
            float sum = 0.0f;
            for (int32_t i = ky.first; i < ky.last; i++) {
                for (int32_t k = 0; k < p->kw; k++) {
                    const int32_t at = ox * p->stride - p->left + k * p->dilation;
                    if (at < 0 || at >= p->w) {
                        continue;
                    }
                    const float *from = (const float *)x[i] + at * p->c + j / per_group * p->cg;
                    const int32_t tap = i * p->kw + k;
                    if (rest && j >= p->filters) {
                        sum = tte_conv_f32_dot(sum, from, rest + ((j - p->filters) * p->kh * p->kw + tap) * p->cg, p->cg);
                        continue;
                    }
                    sum = tte_conv_f32_dot(sum, from, w + (j * p->kh * p->kw + tap) * p->k, p->k);
                    if (p->k < p->cg) {
                        const int32_t others = p->cg - p->k;
                        sum = tte_conv_f32_dot(sum, from + p->k, rest + (j * p->kh * p->kw + tap) * others, others);
                    }
                }
            }
            sum += b[j];
            y[ox * p->co + j] = sum < p->low ? p->low : sum > p->high ? p->high : sum;
        }
    }
}

#endif
