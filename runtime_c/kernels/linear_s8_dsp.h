/** @file linear_s8_dsp.h  The fully connected layer in s8, for Arm's DSP extension: four channels at a time. */
#ifndef TTE_LINEAR_S8_DSP_H
#define TTE_LINEAR_S8_DSP_H

#include "tte/kernels/linear_s8.h"
#include "tte/simd/dsp_product.h"
#include "tte/simd/dsp_results.h"

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

/** The sums of channels j to j + 3 for a row of k values at x, biases but for what is `left`; those past the last repeat others. */
TTE_INLINE tte_dsp_sums4 tte_dsp_sum4(const int8_t *x, int32_t k, int32_t zero, const int32_t *w, const int32_t *q,
                                      int32_t words, const tte_dsp_live *live, int32_t j, int32_t n,
                                      int32_t *left)
{
    const int32_t two = j + 2 < n ? 2 : 0, done = k / 4 * 4; /* channels from the first pair to the second */
    const int32_t *const a = q + j * words, *const c = a + two * words;
    const int32_t *const wa = w + j / 2 * ((k + 1) / 2), *const wc = wa + two / 2 * ((k + 1) / 2);
    const tte_dsp_bias first = tte_dsp_bias_of(live, j, a);
    const tte_dsp_bias second = tte_dsp_bias_of(live, tte_min_s32(j + 1, n - 1), a + words);
    const tte_dsp_bias third = tte_dsp_bias_of(live, j + two, c);
    const tte_dsp_bias fourth = tte_dsp_bias_of(live, tte_min_s32(j + two + 1, n - 1), c + words);
    const tte_dsp_sums4 biases = {first.start, second.start, third.start, fourth.start};
    left[0] = first.left;
    left[1] = second.left;
    left[2] = third.left;
    left[3] = fourth.left;
    const tte_dsp_sums4 most = tte_dsp_dot4(biases, x, k, zero, wa, wc);
    return tte_dsp_dot4_end(most, x + done, k % 4, zero, wa + done / 2, wc + done / 2);
}

/** As tte_linear_s8; w and q as tte/layouts/dsp.py lays them out. */
TTE_INLINE void tte_dsp_linear(const tte_linear_s8_params *p, const int8_t *restrict x, const int32_t *restrict w,
                               const int32_t *restrict q, const tte_dsp_live *live, int8_t *restrict y)
{
    const tte_dsp_out o = {p->rounding, p->shift >= 2, p->zero_y, p->lo, p->hi};
    const int32_t words = tte_dsp_words(&o);
    tte_mask_begin(live->mask, live->at, p->m * p->n);
    for (int32_t i = 0; i < p->m; i++, x += p->k, y += p->n) {
        for (int32_t j = 0; j < p->n; j += 4) {
            int32_t left[4];
            const tte_dsp_sums4 s = tte_dsp_sum4(x, p->k, p->zero_x, w, q, words, live, j, p->n, left);
            const int32_t *const r = q + j * words;
            const int32_t at = i * p->n + j;
            y[j] = tte_dsp_result(&o, s.a, r, live, left[0], at);
            if (j + 1 < p->n) {
                y[j + 1] = tte_dsp_result(&o, s.b, r + words, live, left[1], at + 1);
            }
            if (j + 2 < p->n) {
                y[j + 2] = tte_dsp_result(&o, s.c, r + 2 * words, live, left[2], at + 2);
            }
            if (j + 3 < p->n) {
                y[j + 3] = tte_dsp_result(&o, s.d, r + 3 * words, live, left[3], at + 3);
            }
        }
    }
}

/** As tte_linear_s8; w and q as tte/layouts/dsp.py lays them out. */
TTE_KERNEL tte_linear_s8_dsp(const tte_linear_s8_params *p, const int8_t *restrict x, const int32_t *restrict w,
                             const int32_t *restrict q, int8_t *restrict y)
{
    tte_dsp_linear(p, x, w, q, TTE_DSP_FIXED, y);
}

/** A sum as a float, scaled and clamped. */
TTE_INLINE float tte_linear_dsp_real(const tte_linear_s8_f32_params *p, int32_t sum, int32_t scale)
{
    const float real = (float)sum * tte_float_of_bits(scale);
    return real < p->low ? p->low : real > p->high ? p->high : real;
}

/** As tte_linear_s8_f32; w and q as tte/layouts/dsp.py lays them out. */
TTE_KERNEL tte_linear_s8_f32_dsp(const tte_linear_s8_f32_params *p, const int8_t *restrict x, const int32_t *restrict w,
                                 const int32_t *restrict q, float *restrict y)
{
    for (int32_t i = 0; i < p->m; i++, x += p->k, y += p->n) {
        for (int32_t j = 0; j < p->n; j += 4) {
            int32_t left[4];
            const tte_dsp_sums4 s = tte_dsp_sum4(x, p->k, p->zero_x, w, q, 2, TTE_DSP_FIXED, j, p->n, left);
            const int32_t sums[4] = {s.a, s.b, s.c, s.d};
            for (int32_t l = 0; l < 4 && j + l < p->n; l++) {
                y[j + l] = tte_linear_dsp_real(p, sums[l], q[2 * (j + l) + 1]);
            }
        }
    }
}

#endif
