/** @file linear_s8_dsp.h  The fully connected layer in s8, for Arm's DSP extension: four channels at a time. */
#ifndef TTE_LINEAR_S8_DSP_H
#define TTE_LINEAR_S8_DSP_H

#include "tte/kernels/linear_s8.h"
#include "tte/simd/dsp.h"

/** The last k % 4 values of a row, which begin at x: added to s as by tte_dsp_dot4. */
TTE_INLINE tte_dsp_sums4 tte_dsp_dot4_end(tte_dsp_sums4 s, const int8_t *x, int32_t rest, int32_t zero,
                                          const int32_t *w, const int32_t *w2)
{
    for (int32_t i = 0; i < rest; i += 2, x += 2, w++, w2++) {
        const int32_t pair = tte_dsp_pair(x[0] - zero, i + 1 < rest ? x[1] - zero : 0);
        s.a = tte_dsp_mla2(pair, tte_dsp_even_of(*w), s.a);
        s.b = tte_dsp_mla2(pair, tte_dsp_odd_of(*w), s.b);
        s.c = tte_dsp_mla2(pair, tte_dsp_even_of(*w2), s.c);
        s.d = tte_dsp_mla2(pair, tte_dsp_odd_of(*w2), s.d);
    }
    return s;
}

/** As tte_linear_s8; w and q as tte/dsp.py lays them out. */
TTE_KERNEL tte_linear_s8_dsp(const tte_linear_s8_params *p, const int8_t *restrict x, const int32_t *restrict w,
                             const int32_t *restrict q, int8_t *restrict y)
{
    const tte_dsp_out o = {p->rounding, p->shift >= 2, p->zero_y, p->lo, p->hi};
    const int32_t words = tte_dsp_words(&o), pairs = (p->k + 1) / 2;
    for (int32_t i = 0; i < p->m; i++, x += p->k, y += p->n) {
        for (int32_t j = 0; j < p->n; j += 4) {
            const int32_t two = j + 2 < p->n ? 2 : 0; /* no second pair of channels: the first again */
            const int32_t *const a = q + j * words, *const c = a + two * words;
            const int32_t *const wa = w + j / 2 * pairs, *const wc = wa + two / 2 * pairs;
            const tte_dsp_sums4 bias = {a[0], a[words], c[0], c[words]};
            const tte_dsp_sums4 most = tte_dsp_dot4(bias, x, p->k, p->zero_x, wa, wc);
            const int32_t done = p->k / 4 * 4;
            const tte_dsp_sums4 s = tte_dsp_dot4_end(most, x + done, p->k % 4, p->zero_x, wa + done / 2, wc + done / 2);
            y[j] = tte_dsp_finish(&o, s.a, a);
            if (j + 1 < p->n) {
                y[j + 1] = tte_dsp_finish(&o, s.b, a + words);
            }
            if (j + 2 < p->n) {
                y[j + 2] = tte_dsp_finish(&o, s.c, c);
            }
            if (j + 3 < p->n) {
                y[j + 3] = tte_dsp_finish(&o, s.d, c + words);
            }
        }
    }
}

#endif
