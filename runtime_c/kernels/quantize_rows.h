/** @file quantize_rows.h  Rows of reals as integers, with a scale for each row. */
#ifndef TTE_QUANTIZE_ROWS_H
#define TTE_QUANTIZE_ROWS_H

#include "tte/tte_fixed.h"

typedef struct { int32_t n, k; } tte_quantize_rows_s8_params;

/** What a row is multiplied by whose greatest size is `most`: it becomes 127. Tiny rows become zeros. */
TTE_INLINE float tte_row_factor(float most)
{
    return most > 1e-30f ? 127.0f / most : 0.0f;
}

/** q[n,k] = round(x * (127 / max |x| of the row)), ties to even; s[n] = max |x| / 127. */
TTE_KERNEL tte_quantize_rows_s8(const tte_quantize_rows_s8_params *p, const float *restrict x, int8_t *restrict q,
                                float *restrict s)
{
    for (int32_t i = 0; i < p->n; i++, x += p->k, q += p->k) {
        float most = 0.0f;
        for (int32_t j = 0; j < p->k; j++) {
            const float size = x[j] < 0.0f ? -x[j] : x[j];
            most = size > most ? size : most;
        }
        const float by = tte_row_factor(most);
        for (int32_t j = 0; j < p->k; j++) {
            q[j] = (int8_t)tte_round_even(x[j] * by);
        }
        s[i] = most / 127.0f;
    }
}

#endif
