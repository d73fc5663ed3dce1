/** @file conv_s8.h  Convolution in s8, any groups: one row of the result. */
#ifndef TTE_CONV_S8_H
#define TTE_CONV_S8_H

#include "tte/tte_dot.h"
#include "tte/tte_fixed.h"

typedef struct {
    int32_t w, c;        /* width and channels of x */
    int32_t kh, kw, cg;  /* filter, and its channels: c / groups */
    int32_t ow, co;      /* width and channels of y */
    int32_t stride, left, dilation; /* along the row */
    int32_t pixels;      /* of y */
    int32_t zero_x, zero_y, lo, hi;
    int32_t rounding;
    int32_t shift;       /* the least right shift of a channel */
    int32_t padded;      /* how far a filter ever reaches outside x */
} tte_conv_s8_params;

/** Columns k of the filter, first <= k < last, that lie inside the row for output column ox. */
TTE_INLINE tte_span tte_conv_columns(const tte_conv_s8_params *p, int32_t ox)
{
    const int32_t at = ox * p->stride - p->left;
    tte_span span = {0, p->kw};
    while (span.first < p->kw && at + span.first * p->dilation < 0) {
        span.first++;
    }
    while (span.last > span.first && at + (span.last - 1) * p->dilation >= p->w) {
        span.last--;
    }
    return span;
}

/** The result of channel j, from its sum without bias; q holds multipliers, then shifts. */
TTE_INLINE int8_t tte_conv_finish(const tte_conv_s8_params *p, int32_t j, int32_t sum, const int32_t *b,
                                  const int32_t *q)
{
    const int32_t shift = q[p->co + j];
    TTE_ASSUME(p->rounding == TTE_ONNX || shift >= p->shift);
    const int32_t y = tte_finish(p->rounding, (int64_t)sum + b[j], q[j], shift) + p->zero_y;
    return (int8_t)tte_clamp_s32(y, p->lo, p->hi);
}

/** The sums of column ox for `n` channels (1 or 4) of one group, whose inputs begin at channel c and filters at w. */
TTE_INLINE tte_sums4 tte_conv_column(const tte_conv_s8_params *p, const void *const *x, tte_span ky, tte_span kx,
                                         int32_t ox, int32_t c, const int8_t *w, int32_t n)
{
    const int32_t next = p->kh * p->kw * p->cg;
    const int32_t joined = p->dilation == 1 && p->cg == p->c; /* the columns under the filter lie side by side */
    tte_sums4 s = {0, 0, 0, 0};
    for (int32_t i = ky.first; i < ky.last; i++) {
        const int8_t *const row = (const int8_t *)x[i] + (ox * p->stride - p->left) * p->c + c;
        const int8_t *const filter = w + i * p->kw * p->cg;
        for (int32_t k = kx.first; k < (joined ? kx.first + 1 : kx.last); k++) {
            const int32_t values = joined ? (kx.last - kx.first) * p->cg : p->cg;
            s = tte_dot_s8(s, row + k * p->dilation * p->c, p->zero_x, filter + k * p->cg, values, n, next);
        }
    }
    return s;
}

/**
 * y[ow,co] = finish(b[co] + sum over ky, kx, ci of (x[ky][ox * stride - left + kx * dilation, ci] - zero_x) * w[co,ky,kx,ci]).
 * x[ky] is a row [w,c], ky within `ky`. Overflow: 255 * 128 * 2^15 products keep |sum| below 2^30.
 */
TTE_KERNEL tte_conv_s8(const tte_conv_s8_params *p, const void *const *x, tte_span ky, const int8_t *restrict w,
                       const int32_t *restrict b, const int32_t *restrict q, int8_t *restrict y)
{
    const int32_t per_group = p->co / (p->c / p->cg), size = p->kh * p->kw * p->cg;
    for (int32_t ox = 0; ox < p->ow; ox++, y += p->co) {
        const tte_span kx = tte_conv_columns(p, ox);
        for (int32_t j = 0; j < p->co;) {
            const int32_t c = j / per_group * p->cg;
            if (j % per_group + 4 <= per_group) {
                const tte_sums4 s = tte_conv_column(p, x, ky, kx, ox, c, w + j * size, 4);
                y[j] = tte_conv_finish(p, j, s.a, b, q);
                y[j + 1] = tte_conv_finish(p, j + 1, s.b, b, q);
                y[j + 2] = tte_conv_finish(p, j + 2, s.c, b, q);
                y[j + 3] = tte_conv_finish(p, j + 3, s.d, b, q);
                j += 4;
            } else {
                y[j] = tte_conv_finish(p, j, tte_conv_column(p, x, ky, kx, ox, c, w + j * size, 1).a, b, q);
                j++;
            }
        }
    }
}

#endif
