/**
 * @file conv_live_s8_dsp.h  Convolutions in s8 whose weights training changes, for Arm's DSP extension.
 * Weights lie as in tte_conv_s8: in w and in `rest`, which may be NULL. Where there is scratch, they are laid out anew
 * there before the first row. Bit for bit the kernels that they call; `mask` may be NULL.
 */
#ifndef TTE_CONV_LIVE_S8_DSP_H
#define TTE_CONV_LIVE_S8_DSP_H

#include "tte/kernels/conv_s8_dsp.h"
#include "tte/kernels/depthwise3_s8_dsp.h"
#include "tte/kernels/depthwise_s8_dsp.h"

typedef tte_conv_s8_params tte_pointwise_live_s8_params;
typedef tte_conv_s8_params tte_conv_live_s8_params;
typedef tte_conv_s8_params tte_depthwise_live_s8_params;
typedef tte_conv_s8_params tte_depthwise3_live_s8_params;

/** Places for the weights of a channel in a run: in words of four, and the ends of runs that fill none. */
typedef struct { int8_t *words, *ends; int32_t whole; } tte_dsp_run;

/** Write weights i to i + n - 1 of a run; in a word those at 0, 2, 1, 3 make pairs. */
TTE_INLINE void tte_dsp_place(tte_dsp_run to, int32_t i, const int8_t *w, int32_t n)
{
    int32_t l = 0;
    for (; i % 4 == 0 && i + l + 4 <= to.whole && l + 4 <= n; l += 4) {
        int8_t *const word = to.words + (i + l) * 2;
        word[0] = w[l];
        word[4] = w[l + 1];
        word[2] = w[l + 2];
        word[6] = w[l + 3];
    }
    for (; l < n; l++) {
        const int32_t k = i + l;
        if (k < to.whole) {
            to.words[k / 4 * 8 + k % 2 * 4 + k / 2 % 2 * 2] = w[l];
        } else {
            to.ends[(k - to.whole) * 2] = w[l];
        }
    }
}

/** Weights of a convolution without groups as `by_pairs` of tte/layouts/dsp.py lays them out. */
TTE_INLINE void tte_dsp_pack_pairs(const tte_conv_s8_params *p, const int8_t *w, const int8_t *rest, int32_t *to)
{
    const int32_t run = p->kw * p->c, whole = run / 4 * 4, others = p->c - p->k, pairs = tte_dsp_pairs(p->kh, run);
    for (int32_t j = 0; j < p->co; j++) {
        int8_t *const filter = (int8_t *)(to + j / 2 * pairs) + j % 2, *const ends = filter + p->kh * whole * 2;
        for (int32_t i = 0; i < p->kh; i++) {
            const tte_dsp_run at = {filter + i * whole * 2, ends + i * (run - whole) * 2, whole};
            for (int32_t k = 0; k < p->kw; k++, w += p->k) {
                tte_dsp_place(at, k * p->c, w, p->k);
                if (others > 0) {
                    tte_dsp_place(at, k * p->c + p->k, rest, others);
                    rest += others;
                }
            }
        }
        if (p->kh * (run - whole) % 2 > 0) {
            ends[p->kh * (run - whole) * 2] = 0;
        }
    }
}

/** Words that tte_dsp_pack_pairs writes. */
TTE_INLINE int32_t tte_dsp_packed_words(const tte_conv_s8_params *p)
{
    return (p->co + 1) / 2 * tte_dsp_pairs(p->kh, p->kw * p->c);
}

/** As tte_pointwise_s8_dsp; `scratch` takes the weights and then what that one's does. */
TTE_KERNEL tte_pointwise_live_s8_dsp(const tte_conv_s8_params *p, const int8_t *x, const int8_t *restrict w,
                                     const int32_t *restrict b, const int8_t *restrict rest,
                                     const int32_t *restrict q, int8_t *y, uint8_t *restrict mask,
                                     int8_t *restrict scratch)
{
    int32_t *const packed = tte_dsp_aligned(scratch);
    tte_dsp_pack_pairs(p, w, rest, packed);
    tte_dsp_pointwise(p, x, packed, q, &(const tte_dsp_live){b, mask, 0}, y,
                      (int8_t *)(packed + tte_dsp_packed_words(p)));
}

/** As tte_conv_s8_dsp; `scratch` takes the weights and then what that one's does. */
TTE_KERNEL tte_conv_live_s8_dsp(const tte_conv_s8_params *p, const void *const *x, tte_span ky,
                                const int8_t *restrict w, const int32_t *restrict b, const int8_t *restrict rest,
                                const int32_t *restrict q, int8_t *restrict y, uint8_t *restrict mask, int32_t r,
                                int8_t *restrict scratch)
{
    const tte_dsp_live live = tte_dsp_live_row(p, b, mask, r);
    int32_t *const packed = tte_dsp_aligned(scratch);
    if (r == 0) {
        tte_dsp_pack_pairs(p, w, rest, packed);
    }
    tte_dsp_conv(p, x, ky, packed, q, &live, y, (int8_t *)(packed + tte_dsp_packed_words(p)));
}

/** The filter of channel j, where each channel has one. */
TTE_INLINE const int8_t *tte_dsp_filter(const tte_conv_s8_params *p, const int8_t *w, const int8_t *rest, int32_t j)
{
    const int32_t size = p->kh * p->kw;
    return j < p->filters ? w + j * size : rest + (j - p->filters) * size;
}

/** Weights of a depthwise convolution as `by_phase` of tte/layouts/dsp.py lays them out. */
TTE_INLINE void tte_dsp_pack_phases(const tte_conv_s8_params *p, const int8_t *w, const int8_t *rest, int8_t *to)
{
    for (int32_t j = 0; j < p->co; j++) {
        const int8_t *upper = tte_dsp_filter(p, w, rest, j);
        for (int32_t i = 0; i < p->kh; i += 2, upper += 2 * p->kw) {
            const int8_t *const lower = i + 1 < p->kh ? upper + p->kw : NULL;
            for (int32_t phase = 0; phase < p->stride && phase < p->kw; phase++) {
                for (int32_t k = phase; k < p->kw; k += 2 * p->stride, to += 4) {
                    const int32_t l = k + p->stride;
                    to[0] = upper[k];
                    to[1] = l < p->kw ? upper[l] : 0;
                    to[2] = lower ? lower[k] : 0;
                    to[3] = lower && l < p->kw ? lower[l] : 0;
                }
            }
        }
    }
}

/** As tte_depthwise_s8_dsp; `scratch` takes the weights and then what that one's does. */
TTE_KERNEL tte_depthwise_live_s8_dsp(const tte_conv_s8_params *p, const void *const *x, tte_span ky,
                                     const int8_t *restrict w, const int32_t *restrict b, const int8_t *restrict rest,
                                     const int32_t *restrict q, int8_t *restrict y, uint8_t *restrict mask, int32_t r,
                                     int8_t *restrict scratch)
{
    const tte_dsp_live live = tte_dsp_live_row(p, b, mask, r);
    if (r == 0) {
        tte_dsp_pack_phases(p, w, rest, scratch);
    }
    tte_dsp_depthwise(p, x, ky, scratch, q, &live, y, scratch + p->co * ((p->kh + 1) / 2) * tte_dsp_pair_bytes(p));
}

/** As tte_depthwise3_s8_dsp, without scratch. */
TTE_KERNEL tte_depthwise3_live_s8_dsp(const tte_conv_s8_params *p, const void *const *x, tte_span ky,
                                      const int8_t *restrict w, const int32_t *restrict b,
                                      const int8_t *restrict rest, const int32_t *restrict q, int8_t *restrict y,
                                      uint8_t *restrict mask, int32_t r)
{
    const tte_dsp_out o = tte_conv_dsp_out(p);
    const tte_dsp_live live = tte_dsp_live_row(p, b, mask, r);
    tte_mask_begin(mask, live.at, p->ow * p->co);
    for (int32_t j = 0; j < p->co; j++, q += tte_dsp_words(&o)) {
        const int8_t *const f = tte_dsp_filter(p, w, rest, j);
        const tte_dsp_filter3 filter = {tte_dsp_pair(f[0], f[3]), tte_dsp_pair(f[1], f[4]), tte_dsp_pair(f[2], f[5]),
                                        tte_dsp_pair(f[6], f[7]), f[8]};
        const int32_t sum = f[0] + f[1] + f[2] + f[3] + f[4] + f[5] + f[6] + f[7] + f[8];
        tte_dsp_bias bias = tte_dsp_bias_of(&live, j, q);
        bias.start -= p->zero_x * sum;
        tte_dsp_channel3(p, x, ky, filter, q, &live, bias, j, y);
    }
}

#endif
