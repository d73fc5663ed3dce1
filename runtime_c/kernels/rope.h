/** @file rope.h  Rotary position embedding; y may lie on x. */
#ifndef TTE_ROPE_H
#define TTE_ROPE_H

#include "tte/tte_chunk.h"

typedef struct {
    int32_t n, heads, half, s;
    int32_t apart, step; /* elements from the first to the second of a pair, and from a pair to the next */
} tte_rope_f32_params;

/**
 * Pairs (a, b) of each head become (a * cos - b * sin, a * sin + b * cos).
 * x, y: [n, heads * 2 * half]; table[s, half, 2]: (cos, sin) of each pair by position, row i being at span[0] + i.
 */
TTE_KERNEL tte_rope_f32(const tte_rope_f32_params *p, const float *x, const float *restrict table,
                        const int32_t *restrict span, float *y)
{
    for (int32_t i = 0; i < p->n; i++) {
        const float *turn = table + (ptrdiff_t)tte_position(span, i, p->s) * p->half * 2;
        for (int32_t h = 0; h < p->heads; h++) {
            for (int32_t j = 0; j < p->half; j++) {
                const float cos = turn[2 * j], sin = turn[2 * j + 1];
                const float a = x[j * p->step], b = x[j * p->step + p->apart];
                y[j * p->step] = a * cos - b * sin;
                y[j * p->step + p->apart] = a * sin + b * cos;
            }
            x += 2 * p->half;
            y += 2 * p->half;
        }
    }
}

#endif
