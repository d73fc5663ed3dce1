/** @file conv_s8.h  Convolution in s8, any groups: one row of the result. */
#ifndef TTE_CONV_S8_H
#define TTE_CONV_S8_H

#include "tte/tte_bits.h"
#include "tte/tte_dot.h"
#include "tte/tte_fixed.h"

typedef struct {
    int32_t w, c;        /* width and channels of x */
    int32_t kh, kw, cg;  /* filter, and its channels: c / groups */
    int32_t ow, co;      /* width and channels of y */
    int32_t filters, k;  /* what of the filters lies in w: so many, and so many channels of each; co and cg if all */
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

/** Result j of element `at` on, from its sum without bias; q holds multipliers, then shifts. `mask` may be NULL. */
TTE_INLINE void tte_conv_finish(const tte_conv_s8_params *p, int32_t j, int32_t sum, const int32_t *b,
                                const int32_t *q, int8_t *y, uint8_t *mask, int32_t at)
{
    const int32_t shift = q[p->co + j];
    TTE_ASSUME(p->rounding == TTE_ONNX || shift >= p->shift);
    const int32_t free = tte_finish(p->rounding, (int64_t)sum + b[j], q[j], shift) + p->zero_y;
    y[j] = tte_clamp_masked(free, p->lo, p->hi, mask, at + j);
}

/** A window of x: its rows, those of the filter that lie inside, its columns, and the column of y. */
typedef struct { const void *const *x; tte_span ky, kx; int32_t ox; } tte_conv_window;

/**
 * Sums of `n` filters (1 or 4) over a window, s to begin with: those of channels c to c + k - 1 of x, with the filters
 * [kh,kw,k] that begin at w.
 */
TTE_INLINE tte_sums4 tte_conv_column(const tte_conv_s8_params *p, const tte_conv_window *at, tte_sums4 s, int32_t c,
                                     const int8_t *w, int32_t k, int32_t n)
{
    const int32_t next = p->kh * p->kw * k;
    const int32_t joined = p->dilation == 1 && k == p->c; /* the columns under the filter lie side by side */
    for (int32_t i = at->ky.first; i < at->ky.last; i++) {
        const int8_t *const row = (const int8_t *)at->x[i] + (at->ox * p->stride - p->left) * p->c + c;
        const int8_t *const filter = w + i * p->kw * k;
        for (int32_t l = at->kx.first; l < (joined ? at->kx.first + 1 : at->kx.last); l++) {
            const int32_t values = joined ? (at->kx.last - at->kx.first) * k : k;
            s = tte_dot_s8(s, row + l * p->dilation * p->c, p->zero_x, filter + l * k, values, n, next);
        }
    }
    return s;
}

/** The sums of channels j to j + n - 1 (n is 1 or 4) of one group, whose filters lie in w and `rest`. */
TTE_INLINE tte_sums4 tte_conv_sums(const tte_conv_s8_params *p, const tte_conv_window *at, int32_t c, int32_t j,
                                   const int8_t *w, const int8_t *rest, int32_t n)
{
    const int32_t taps = p->kh * p->kw;
    const tte_sums4 none = {0, 0, 0, 0};
    if (rest && j >= p->filters) {
        return tte_conv_column(p, at, none, c, rest + (j - p->filters) * taps * p->cg, p->cg, n);
    }
    const tte_sums4 s = tte_conv_column(p, at, none, c, w + j * taps * p->k, p->k, n);
    return p->k < p->cg ? tte_conv_column(p, at, s, c + p->k, rest + j * taps * (p->cg - p->k), p->cg - p->k, n) : s;
}

/**
 * y[ow,co] = finish(b[co] + sum over ky, kx, ci of (x[ky][ox * stride - left + kx * dilation, ci] - zero_x) * w[co,ky,kx,ci]).
 * x[ky] is a row [w,c], ky within `ky`. w holds the first k channels of the first `filters` filters; the remaining ones
 * lie in `rest`, which is NULL if there are none. `mask`, if not NULL, are the bits of all rows; this is row r.
 * Overflow: 255 * 128 * 2^15 products keep |sum| below 2^30.
 */
TTE_KERNEL tte_conv_s8(const tte_conv_s8_params *p, const void *const *x, tte_span ky, const int8_t *restrict w,
                       const int32_t *restrict b, const int8_t *restrict rest, const int32_t *restrict q,
                       int8_t *restrict y, uint8_t *restrict mask, int32_t r)
{
    const int32_t per_group = p->co / (p->c / p->cg);
    tte_mask_begin(mask, r * p->ow * p->co, p->ow * p->co);
    for (int32_t ox = 0; ox < p->ow; ox++, y += p->co) {
        const tte_conv_window window = {x, ky, tte_conv_columns(p, ox), ox};
        const int32_t at = (r * p->ow + ox) * p->co;
        for (int32_t j = 0; j < p->co;) {
            const int32_t c = j / per_group * p->cg;
            if (j % per_group + 4 <= per_group) {
                const tte_sums4 s = tte_conv_sums(p, &window, c, j, w, rest, 4);
                tte_conv_finish(p, j, s.a, b, q, y, mask, at);
                tte_conv_finish(p, j + 1, s.b, b, q, y, mask, at);
                tte_conv_finish(p, j + 2, s.c, b, q, y, mask, at);
                tte_conv_finish(p, j + 3, s.d, b, q, y, mask, at);
                j += 4;
            } else {
                tte_conv_finish(p, j, tte_conv_sums(p, &window, c, j, w, rest, 1).a, b, q, y, mask, at);
                j++;
            }
        }
    }
}

#endif
