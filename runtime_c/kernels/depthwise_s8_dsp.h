/** @file depthwise_s8_dsp.h  Convolution in s8 with one filter per channel, for Arm's DSP extension. */
#ifndef TTE_DEPTHWISE_S8_DSP_H
#define TTE_DEPTHWISE_S8_DSP_H

#include "tte/kernels/conv_s8_dsp.h"

typedef tte_conv_s8_params tte_depthwise_s8_params;

/** Columns that the filters of a row touch, those outside x included. */
TTE_INLINE int32_t tte_dsp_touched(const tte_conv_s8_params *p) { return (p->ow - 1) * p->stride + p->kw; }

/** Rows a and b of a channel as pairs, without the zero point, into the columns that lie inside x; `kept` is a mask. */
TTE_INLINE void tte_dsp_load_rows(const tte_conv_s8_params *p, const int8_t *a, const int8_t *b, int32_t kept,
                                  int32_t *to)
{
    const int32_t end = tte_min_s32(p->w, tte_dsp_touched(p) - p->left), offset = tte_dsp_twice(-p->zero_x);
    to += p->left;
    if (kept == -1) {
        for (int32_t i = 0; i < end; i++, a += p->c, b += p->c) {
            to[i] = tte_dsp_add16(tte_dsp_pair(*a, *b), offset);
        }
    } else {
        for (int32_t i = 0; i < end; i++, a += p->c, b += p->c) {
            to[i] = tte_dsp_add16(tte_dsp_pair(*a, *b), offset) & kept;
        }
    }
}

/** Sums of four output columns. */
typedef struct { int32_t a, b, c, d; } tte_dsp_columns4;

/** tte_dsp_mla2 at its place in the program. */
TTE_INLINE int32_t tte_dsp_mla2_here(int32_t a, int32_t b, int32_t sum)
{
    int32_t r;
    __asm__ volatile("smlad %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(sum));
    return r;
}

/** Add a weight times each of four columns, in this order, in which nothing is loaded twice or spilled. */
TTE_INLINE tte_dsp_columns4 tte_dsp_add_tap(tte_dsp_columns4 s, tte_dsp_columns4 x, int32_t weight)
{
    s.a = tte_dsp_mla2_here(x.a, weight, s.a);
    s.b = tte_dsp_mla2_here(x.b, weight, s.b);
    s.c = tte_dsp_mla2_here(x.c, weight, s.c);
    s.d = tte_dsp_mla2_here(x.d, weight, s.d);
    return s;
}

/**
 * Add one pair of rows to the sums of four output columns, the first of which begins at x. The weights come in the
 * order in which columns of x are used: those at multiples of the stride, then those one further, and so on.
 */
TTE_INLINE tte_dsp_columns4 tte_dsp_add_rows(tte_dsp_columns4 s, const tte_conv_s8_params *p, const int32_t *x,
                                             const int8_t *w)
{
    TTE_DSP_UNROLL
    for (int32_t phase = 0; phase < tte_min_s32(p->stride, p->kw); phase++, x++) {
        tte_dsp_columns4 at = {0, x[0], x[p->stride], x[2 * p->stride]};
        TTE_DSP_UNROLL
        for (int32_t k = 0; phase + k * p->stride < p->kw; k += 2, w += 4) {
            const int32_t two = tte_dsp_load4(w);
            at = (tte_dsp_columns4){at.b, at.c, at.d, x[(k + 3) * p->stride]};
            s = tte_dsp_add_tap(s, at, tte_dsp_even_of(two));
            if (phase + (k + 1) * p->stride < p->kw) {
                at = (tte_dsp_columns4){at.b, at.c, at.d, x[(k + 4) * p->stride]};
                s = tte_dsp_add_tap(s, at, tte_dsp_odd_of(two));
            }
        }
    }
    return s;
}

/** Add one pair of rows to the sum of one output column. */
TTE_INLINE int32_t tte_dsp_add_rows1(int32_t sum, const tte_conv_s8_params *p, const int32_t *x, const int8_t *w)
{
    for (int32_t phase = 0; phase < tte_min_s32(p->stride, p->kw); phase++) {
        for (int32_t k = 0; phase + k * p->stride < p->kw; k += 2, w += 4) {
            const int32_t two = tte_dsp_load4(w), at = phase + k * p->stride;
            sum = tte_dsp_mla2(x[at], tte_dsp_even_of(two), sum);
            sum = at + p->stride < p->kw ? tte_dsp_mla2(x[at + p->stride], tte_dsp_odd_of(two), sum) : sum;
        }
    }
    return sum;
}

/** Four output columns of a channel, results i on; x and w are those of the first pair of rows, others follow. */
TTE_INLINE void tte_dsp_block4(const tte_conv_s8_params *p, const tte_dsp_out *o, tte_span pairs, const int32_t *x,
                               const int8_t *w, int32_t bytes, const int32_t *q, const tte_dsp_live *live, tte_dsp_bias b,
                               int32_t i, int8_t *y)
{
    tte_dsp_columns4 s = {b.start, b.start, b.start, b.start};
    TTE_DSP_ROLL
    for (int32_t k = pairs.first; k < pairs.last; k++) {
        s = tte_dsp_add_rows(s, p, x + k * tte_dsp_touched(p), w + k * bytes);
    }
    tte_dsp_channel(o, (tte_dsp_sums4){s.a, s.b, s.c, s.d}, q, live, b.left, y, 4, p->c, i);
}

/** Bytes of the weights of a pair of rows: as many words as each phase needs for two columns a word. */
TTE_INLINE int32_t tte_dsp_pair_bytes(const tte_conv_s8_params *p)
{
    int32_t bytes = 0;
    for (int32_t phase = 0; phase < p->stride && phase < p->kw; phase++) {
        bytes += ((p->kw - phase - 1) / p->stride + 2) / 2 * 4;
    }
    return bytes;
}

/**
 * As tte_depthwise_s8 for dilation 1. w and q as tte/layouts/dsp.py lays them out. `pairs` takes, for every two rows of the
 * filter, a word per column that is touched, and 3 bytes more.
 */
TTE_INLINE void tte_dsp_depthwise(const tte_conv_s8_params *p, const void *const *x, tte_span ky,
                                  const int8_t *restrict w, const int32_t *restrict q, const tte_dsp_live *live,
                                  int8_t *restrict y, int8_t *restrict pairs)
{
    tte_mask_begin(live->mask, live->at, p->ow * p->co);
    const tte_dsp_out o = tte_conv_dsp_out(p);
    const int32_t width = tte_dsp_touched(p), bytes = tte_dsp_pair_bytes(p);
    const tte_span used = {ky.first / 2, ky.first < ky.last ? (ky.last + 1) / 2 : ky.first / 2};
    int32_t *const columns = tte_dsp_aligned(pairs);
    for (int32_t i = used.first * width; p->padded > 0 && i < used.last * width; i++) {
        columns[i] = 0;
    }
    for (int32_t j = 0; j < p->co; j++, q += tte_dsp_words(&o), w += (p->kh + 1) / 2 * bytes) {
        for (int32_t i = used.first; i < used.last; i++) {
            const int32_t above = 2 * i >= ky.first, below = 2 * i + 1 < ky.last;
            const int8_t *const a = (const int8_t *)x[2 * i + !above], *const b = (const int8_t *)x[2 * i + below];
            tte_dsp_load_rows(p, a + j, b + j, (above ? 0xffff : 0) | (below ? ~0xffff : 0), columns + i * width);
        }
        const tte_dsp_bias b = tte_dsp_bias_of(live, j, q);
        int32_t ox = 0;
        for (; ox + 4 <= p->ow; ox += 4) {
            const int32_t at = ox * p->c + j;
            tte_dsp_block4(p, &o, used, columns + ox * p->stride, w, bytes, q, live, b, at, y + at);
        }
        for (; ox < p->ow; ox++) {
            int32_t sum = b.start;
            for (int32_t i = used.first; i < used.last; i++) {
                sum = tte_dsp_add_rows1(sum, p, columns + i * width + ox * p->stride, w + i * bytes);
            }
            y[ox * p->c + j] = tte_dsp_result(&o, sum, q, live, b.left, ox * p->c + j);
        }
    }
}

/** tte_dsp_depthwise of row r; b and `mask` may be NULL. */
TTE_KERNEL tte_depthwise_s8_dsp(const tte_depthwise_s8_params *p, const void *const *x, tte_span ky,
                                const int8_t *restrict w, const int32_t *restrict b, const int32_t *restrict q,
                                int8_t *restrict y, uint8_t *restrict mask, int32_t r, int8_t *restrict pairs)
{
    const tte_dsp_live live = tte_dsp_live_row(p, b, mask, r);
    tte_dsp_depthwise(p, x, ky, w, q, &live, y, pairs);
}

#endif
