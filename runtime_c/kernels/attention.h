/** @file attention.h  Causal attention over a cache; y may lie on q. */
#ifndef TTE_ATTENTION_H
#define TTE_ATTENTION_H

#include "tte/tte_chunk.h"
#include "tte/tte_math.h"

typedef struct {
    int32_t n, s, kv_heads, group, depth; /* `group` heads share keys and values; a head has `depth` elements */
    int32_t width, row;                   /* elements of a position in the caches; the first row's place in the chunk */
    float scale;
} tte_attention_f32_params;

/** a = (q . k) * scale for the first `seen` of keys that lie `width` apart; returns the greatest. */
TTE_INLINE float tte_attention_scores(const tte_attention_f32_params *p, const float *restrict q,
                                      const float *restrict k, int32_t width, int32_t seen, float *restrict a)
{
    float max = 0.0f;
    for (int32_t at = 0; at < seen; at++, k += width) {
        float sum = 0.0f;
        for (int32_t j = 0; j < p->depth; j++) {
            sum += q[j] * k[j];
        }
        a[at] = sum * p->scale;
        max = at == 0 || a[at] > max ? a[at] : max;
    }
    return max;
}

/** y = sum of e * v / sum of e, e = e^(score - max), over the first `seen` keys and values, which lie `width` apart. */
TTE_INLINE void tte_attention_row(const tte_attention_f32_params *p, const float *q, const float *restrict k,
                                  const float *restrict v, int32_t width, int32_t seen, float *y, float *restrict a)
{
    const float max = tte_attention_scores(p, q, k, width, seen, a);
    float total = 0.0f;
    for (int32_t j = 0; j < p->depth; j++) {
        y[j] = 0.0f;
    }
    for (int32_t at = 0; at < seen; at++, v += width) {
        const float e = tte_exp(a[at] - max);
        total += e;
        for (int32_t j = 0; j < p->depth; j++) {
            y[j] += e * v[j];
        }
    }
    for (int32_t j = 0; j < p->depth; j++) {
        y[j] /= total;
    }
}

/**
 * y = sum of e * v / sum of e with e = e^(a - max), a = (q . k) * scale, for each row and head.
 * q, y: [n, kv_heads * group * depth]; k, v: [s, width], of which row i sees positions 0..span[0] + row + i. Sums are in
 * order, of positions from 0 on. Scratch: s floats.
 */
TTE_KERNEL tte_attention_f32(const tte_attention_f32_params *p, const float *q, const float *restrict k,
                             const float *restrict v, const int32_t *restrict span, float *y, int8_t *restrict scratch)
{
    const int32_t width = p->width;
    float *a = (float *)(void *)scratch;
    for (int32_t i = 0; i < p->n; i++) {
        const int32_t seen = tte_position(span, p->row + i, p->s) + 1;
        for (int32_t h = 0; h < p->kv_heads * p->group; h++, q += p->depth, y += p->depth) {
            const int32_t first = h / p->group * p->depth;
            tte_attention_row(p, q, k + first, v + first, width, seen, y, a);
        }
    }
}

#endif
