/** @file linear_s8_mve.h  The fully connected layer in s8, on Helium. */
#ifndef TTE_LINEAR_S8_MVE_H
#define TTE_LINEAR_S8_MVE_H

#include "tte/kernels/linear_s8.h"
#include "tte/simd/mve.h"

/** n <= 8 elements of a row of y; w and q move on. */
TTE_INLINE void tte_linear_mve_eight(const tte_linear_s8_params *p, const tte_mve_pixels *x, const int8_t **w,
                                     const int32_t **q, int8_t *y, int32_t n)
{
    const int32x4_t even = tte_mve_four_s8(x, 1, p->k, w, q, (n + 1) / 2, p->rounding, p->shift);
    const int32x4_t odd = n > 1 ? tte_mve_four_s8(x, 1, p->k, w, q, n / 2, p->rounding, p->shift) : even;
    tte_mve_store_s8(y, even, odd, p->zero_y, p->lo, p->hi, n);
}

/** As tte_linear_s8. w and q as tte/layouts/mve.py lays them out, zero_x in the biases. */
TTE_KERNEL tte_linear_s8_mve(const tte_linear_s8_params *p, const int8_t *restrict x, const int8_t *restrict w,
                             const int32_t *restrict q, int8_t *restrict y)
{
    for (int32_t i = 0; i < p->m; i++, x += p->k) {
        const void *const row[1] = {x};
        const tte_mve_pixels pixels = tte_mve_hold(row, 0, 1, p->k);
        const int8_t *weights = w;
        const int32_t *finishers = q;
        for (int32_t j = p->n / 8; j > 0; j--, y += 8) {
            tte_linear_mve_eight(p, &pixels, &weights, &finishers, y, 8);
        }
        if (p->n % 8) {
            tte_linear_mve_eight(p, &pixels, &weights, &finishers, y, p->n % 8);
            y += p->n % 8;
        }
    }
}

/** n <= 8 elements of a row of y; w and q move on. */
TTE_INLINE void tte_linear_mve_eight_f32(const tte_mve_pixels *x, int32_t k, const int8_t **w, const int32_t **q,
                                         float *y, int32_t n)
{
    int32x4x2_t reals;
    for (int32_t odd = 0; odd < 2; odd++) {
        if (n > odd) {
            int32x4_t sums = tte_mve_lanes(tte_mve_sums_s8(x, 1, k, w, (n + 1 - odd) / 2));
            sums = vaddq_s32(sums, tte_mve_next_s32(q, &sums));
            reals.val[odd] = tte_mve_real(sums, tte_mve_next_s32(q, &sums));
        }
    }
    if (n == 8) {
        vst2q_s32((int32_t *)y, reals);
    }
    for (int32_t i = 0; n < 8 && i < n; i++) {
        y[i] = tte_float_of_bits(reals.val[i % 2][i / 2]);
    }
}

/** As tte_linear_s8_f32 without a clamp. w and q as tte/layouts/mve.py lays them out, zero_x in the biases. */
TTE_KERNEL tte_linear_s8_f32_mve(const tte_linear_s8_f32_params *p, const int8_t *restrict x, const int8_t *restrict w,
                                 const int32_t *restrict q, float *restrict y)
{
    for (int32_t i = 0; i < p->m; i++, x += p->k) {
        const void *const row[1] = {x};
        const tte_mve_pixels pixels = tte_mve_hold(row, 0, 1, p->k);
        const int8_t *weights = w;
        const int32_t *finishers = q;
        for (int32_t j = p->n / 8; j > 0; j--, y += 8) {
            tte_linear_mve_eight_f32(&pixels, p->k, &weights, &finishers, y, 8);
        }
        if (p->n % 8) {
            tte_linear_mve_eight_f32(&pixels, p->k, &weights, &finishers, y, p->n % 8);
            y += p->n % 8;
        }
    }
}

#endif
