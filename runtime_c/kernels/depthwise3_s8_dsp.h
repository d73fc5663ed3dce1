/** @file depthwise3_s8_dsp.h  Convolution in s8 with a 3x3 filter per channel, for Arm's DSP extension. */
#ifndef TTE_DEPTHWISE3_S8_DSP_H
#define TTE_DEPTHWISE3_S8_DSP_H

#include "tte/kernels/conv_s8_dsp.h"

typedef tte_conv_s8_params tte_depthwise3_s8_params;

/** What the three rows hold in one column: rows 0 and 1 as a pair, and row 2. */
typedef struct { int32_t pair, third; } tte_dsp_column;

/** The weights of a channel: pairs of rows 0 and 1 in columns 0, 1, 2; columns 0 and 1 of row 2, and column 2. */
typedef struct { int32_t a, b, c, d, e; } tte_dsp_filter3;

/** Where the next column is read, in each row. */
typedef struct { const int8_t *a, *b, *c; } tte_dsp_rows3;

/** Read a column and step to the next one. */
TTE_INLINE tte_dsp_column tte_dsp_read3(tte_dsp_rows3 *x, int32_t step)
{
    const int32_t a = *x->a, b = *x->b, c = *x->c;
    x->a += step;
    x->b += step;
    x->c += step;
    return (tte_dsp_column){tte_dsp_pair(a, b), c};
}

/** The sum under the filter, plus `start`. */
TTE_INLINE int32_t tte_dsp_sum3(const tte_dsp_filter3 *w, tte_dsp_column a, tte_dsp_column b, tte_dsp_column c,
                                int32_t start)
{
    const int32_t ab = tte_dsp_mla2(b.pair, w->b, tte_dsp_mla2(a.pair, w->a, start));
    const int32_t abc = tte_dsp_mla2(c.pair, w->c, ab);
    return tte_dsp_mla(c.third, w->e, tte_dsp_mla2(tte_dsp_pair(a.third, b.third), w->d, abc));
}

/** Nine weights as tte/layouts/dsp.py lays them out. */
TTE_INLINE tte_dsp_filter3 tte_dsp_load_filter3(const int8_t *w)
{
    const int32_t ab = tte_dsp_load4(w), cd = tte_dsp_load4(w + 4);
    return (tte_dsp_filter3){tte_dsp_even_of(ab), tte_dsp_odd_of(ab), tte_dsp_even_of(cd), tte_dsp_odd_of(cd), w[8]};
}

/** The weights of rows that lie outside x become 0, and `start` loses their part of the zero point. */
TTE_INLINE tte_dsp_filter3 tte_dsp_inside3(tte_dsp_filter3 f, tte_span ky, int32_t zero, int32_t *start)
{
    const int32_t both = tte_dsp_twice(zero);
    if (ky.first > 0) {
        *start = tte_dsp_mla(zero, (int16_t)f.a + (int16_t)f.b + (int16_t)f.c, *start);
        f.a &= ~0xffff;
        f.b &= ~0xffff;
        f.c &= ~0xffff;
    }
    if (ky.last < 3) {
        *start = tte_dsp_mla(zero, f.e, tte_dsp_mla2(f.d, both, *start));
        f.d = f.e = 0;
    }
    return f;
}

/** One channel of a row at stride 1: three columns in turn, each read once. */
TTE_INLINE void tte_dsp_row3(const tte_conv_s8_params *p, const tte_dsp_out *o, tte_dsp_rows3 x,
                             const tte_dsp_filter3 *w, const int32_t *q, const tte_dsp_live *live, int32_t start,
                             int32_t j, int8_t *y)
{
    const tte_dsp_column outside = {tte_dsp_twice(p->zero_x), p->zero_x};
    const int32_t inside = tte_min_s32(p->ow, p->w + p->left - 2); /* columns whose filter ends inside x */
    tte_dsp_column a = p->left > 0 ? outside : tte_dsp_read3(&x, p->c), b = tte_dsp_read3(&x, p->c), c = outside;
    int32_t ox = 0;
    for (; ox + 3 <= inside; ox += 3, y += 3 * p->c) {
        c = tte_dsp_read3(&x, p->c);
        y[0] = tte_dsp_result(o, tte_dsp_sum3(w, a, b, c, start), q, live, 0, ox * p->c + j);
        a = tte_dsp_read3(&x, p->c);
        y[p->c] = tte_dsp_result(o, tte_dsp_sum3(w, b, c, a, start), q, live, 0, (ox + 1) * p->c + j);
        b = tte_dsp_read3(&x, p->c);
        y[2 * p->c] = tte_dsp_result(o, tte_dsp_sum3(w, c, a, b, start), q, live, 0, (ox + 2) * p->c + j);
    }
    for (; ox < p->ow; ox++, y += p->c) {
        c = ox < inside ? tte_dsp_read3(&x, p->c) : outside;
        y[0] = tte_dsp_result(o, tte_dsp_sum3(w, a, b, c, start), q, live, 0, ox * p->c + j);
        a = b;
        b = c;
    }
}

/** One channel of a row at stride 2: a column is shared by two filters. */
TTE_INLINE void tte_dsp_row3_stride2(const tte_conv_s8_params *p, const tte_dsp_out *o, tte_dsp_rows3 x,
                                     const tte_dsp_filter3 *w, const int32_t *q, const tte_dsp_live *live, int32_t start,
                                     int32_t j, int8_t *y)
{
    const tte_dsp_column outside = {tte_dsp_twice(p->zero_x), p->zero_x};
    const int32_t inside = tte_min_s32(p->ow, (p->w + p->left - 1) / 2);
    tte_dsp_column a = p->left > 0 ? outside : tte_dsp_read3(&x, p->c);
    int32_t ox = 0;
    for (; ox < inside; ox++, y += p->c) {
        const tte_dsp_column b = tte_dsp_read3(&x, p->c), c = tte_dsp_read3(&x, p->c);
        y[0] = tte_dsp_result(o, tte_dsp_sum3(w, a, b, c, start), q, live, 0, ox * p->c + j);
        a = c;
    }
    if (ox < p->ow) {
        const tte_dsp_column b = tte_dsp_read3(&x, p->c);
        y[0] = tte_dsp_result(o, tte_dsp_sum3(w, a, b, outside, start), q, live, 0, ox * p->c + j);
    }
}

/** One row of channel j for a bias that leaves something to add, as hardly any does: column by column. */
TTE_RARE void tte_dsp_row3_wide(const tte_conv_s8_params *p, tte_dsp_rows3 x, tte_dsp_filter3 w, const int32_t *q,
                                tte_dsp_live live, tte_dsp_bias bias, int8_t *y)
{
    const tte_dsp_out o = tte_conv_dsp_out(p);
    for (int32_t ox = 0; ox < p->ow; ox++) {
        tte_dsp_column columns[3];
        for (int32_t k = 0; k < 3; k++) {
            const int32_t column = ox * p->stride - p->left + k, at = column * p->c;
            columns[k] = (tte_dsp_column){tte_dsp_twice(p->zero_x), p->zero_x};
            if (column >= 0 && column < p->w) {
                columns[k] = (tte_dsp_column){tte_dsp_pair(x.a[at], x.b[at]), x.c[at]};
            }
        }
        const int64_t sum = tte_dsp_sum3(&w, columns[0], columns[1], columns[2], bias.start);
        y[ox * p->c] = tte_dsp_result_wide(o, sum + bias.left, q, live.mask, live.at + ox * p->c);
    }
}

/** One row of channel j with the filter w; in `bias` is the zero point of x, as if no row lay outside. */
TTE_INLINE void tte_dsp_channel3(const tte_conv_s8_params *p, const void *const *x, tte_span ky, tte_dsp_filter3 w,
                                 const int32_t *q, const tte_dsp_live *live, tte_dsp_bias bias, int32_t j, int8_t *y)
{
    const tte_dsp_out o = tte_conv_dsp_out(p);
    const int32_t words = tte_dsp_words(&o);
    const int32_t own[4] = {0, q[1], words > 2 ? q[2] : 0, words > 3 ? q[3] : 0}; /* which no store can change */
    const int8_t *const middle = x[1];
    const int8_t *const top = ky.first == 0 ? x[0] : middle, *const bottom = ky.last == 3 ? x[2] : middle;
    const tte_dsp_rows3 rows = {top + j, middle + j, bottom + j};
    const tte_dsp_filter3 filter = tte_dsp_inside3(w, ky, p->zero_x, &bias.start);
    if (bias.left != 0) {
        tte_dsp_row3_wide(p, rows, filter, q, (tte_dsp_live){live->b, live->mask, live->at + j}, bias, y + j);
    } else if (p->stride == 1) {
        tte_dsp_row3(p, &o, rows, &filter, own, live, bias.start, j, y + j);
    } else {
        tte_dsp_row3_stride2(p, &o, rows, &filter, own, live, bias.start, j, y + j);
    }
}

/**
 * As tte_depthwise_s8 for a filter of 3x3 that reaches at most 1 outside x, stride 1 or 2. w[c,9] and q as tte/layouts/dsp.py
 * lays them out, zero_x in the biases. b and `mask` may be NULL.
 */
TTE_KERNEL tte_depthwise3_s8_dsp(const tte_depthwise3_s8_params *p, const void *const *x, tte_span ky,
                                 const int8_t *restrict w, const int32_t *restrict b, const int32_t *restrict q,
                                 int8_t *restrict y, uint8_t *restrict mask, int32_t r)
{
    const tte_dsp_out o = tte_conv_dsp_out(p);
    const tte_dsp_live live = tte_dsp_live_row(p, b, mask, r);
    tte_mask_begin(mask, live.at, p->ow * p->co);
    for (int32_t j = 0; j < p->co; j++, q += tte_dsp_words(&o)) {
        tte_dsp_channel3(p, x, ky, tte_dsp_load_filter3(w + 9 * j), q, &live, tte_dsp_bias_of(&live, j, q), j, y);
    }
}

#endif
