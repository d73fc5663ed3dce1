/** @file linear_groups.h  The fully connected layer of s8 rows and four-bit weights with a step for each group. */
#ifndef TTE_LINEAR_GROUPS_H
#define TTE_LINEAR_GROUPS_H

#include "tte/tte.h"

typedef struct {
    int32_t m, n, k;
    int32_t group, groups; /* columns of a group, the last of which may have fewer; their number */
} tte_linear_groups_u4_params;

/**
 * y[m,n] = f32(sum over groups of step * (sum of q * w - zero * sum of q)) * (s[m] * by[n]) + b[n]; b may be NULL.
 * w: [n, ceil(k / 2)] bytes of two codes, the lower first; step, zero: [n, groups]. Integers as long as there are many.
 * Overflow: step * (w - zero) fits 8 bits, so that k <= 2^17 keeps the sum, and each partial one, within 32.
 */
TTE_KERNEL tte_linear_groups_u4(const tte_linear_groups_u4_params *p, const int8_t *restrict q,
                                const float *restrict s, const uint8_t *restrict w, const uint8_t *restrict step,
                                const uint8_t *restrict zero, const float *restrict by, const float *restrict b,
                                float *restrict y)
{
    const int32_t bytes = (p->k + 1) / 2;
    for (int32_t i = 0; i < p->m; i++) {
        for (int32_t j = 0; j < p->n; j++) {
            int32_t sum = 0;
            for (int32_t g = 0; g < p->groups; g++) {
                const int32_t end = g + 1 < p->groups ? (g + 1) * p->group : p->k;
                int32_t dot = 0, all = 0;
                for (int32_t l = g * p->group; l < end; l++) {
                    dot += q[i * p->k + l] * (w[j * bytes + l / 2] >> l % 2 * 4 & 15);
                    all += q[i * p->k + l];
                }
                sum += step[j * p->groups + g] * (dot - zero[j * p->groups + g] * all);
            }
            y[i * p->n + j] = (float)sum * (s[i] * by[j]) + (b ? b[j] : 0.0f);
        }
    }
}

#endif
