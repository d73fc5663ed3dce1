/** @file attention_codes.h  Causal attention over a cache in few bits; y may lie on q. */
#ifndef TTE_ATTENTION_CODES_H
#define TTE_ATTENTION_CODES_H

#include "tte/kernels/attention.h"
#include "tte/tte_codes.h"

/** The arrays in scratch: keys and values of a head as reals, [s, depth] each, and scores. */
typedef struct { float *keys, *values, *scores; } tte_attention_reals;

/** Where they lie. */
TTE_INLINE tte_attention_reals tte_attention_scratch(const tte_attention_f32_params *p, int8_t *scratch)
{
    float *keys = (float *)(void *)scratch;
    const tte_attention_reals found = {keys, keys + p->s * p->depth, keys + 2 * p->s * p->depth};
    return found;
}

/** Keys of head h of those that are shared, and its values of `bits` bits, as far as a row sees them. */
TTE_INLINE void tte_attention_decode(const tte_attention_f32_params *p, int32_t bits, int32_t h,
                                     const int8_t *restrict k, const float *restrict k_scales, const void *restrict v,
                                     const float *restrict v_scales, const int32_t *restrict span,
                                     const tte_attention_reals *to)
{
    const int32_t heads = p->width / p->depth, first = h * p->depth;
    const int32_t seen = tte_position(span, p->row + p->n - 1, p->s) + 1;
    tte_reals_s8(k + first, k_scales + h, seen, heads, p->depth, to->keys);
    if (bits == 8) {
        tte_reals_s8((const int8_t *)v + first, v_scales + h, seen, heads, p->depth, to->values);
    } else {
        tte_reals_u4((const uint8_t *)v + first / 2, v_scales + 2 * h, seen, heads, p->depth, to->values);
    }
}

/** As tte_attention_f32, over the reals. */
TTE_INLINE void tte_attention_coded(const tte_attention_f32_params *p, int32_t bits, const float *q,
                                    const int8_t *restrict k, const float *restrict k_scales, const void *restrict v,
                                    const float *restrict v_scales, const int32_t *restrict span, float *y,
                                    int8_t *restrict scratch)
{
    const tte_attention_reals reals = tte_attention_scratch(p, scratch);
    const int32_t heads = p->kv_heads * p->group;
    for (int32_t h = 0; h < heads; h++) {
        if (h % p->group == 0) {
            tte_attention_decode(p, bits, h / p->group, k, k_scales, v, v_scales, span, &reals);
        }
        for (int32_t i = 0; i < p->n; i++) {
            const int32_t at = (i * heads + h) * p->depth, seen = tte_position(span, p->row + i, p->s) + 1;
            tte_attention_row(p, q + at, reals.keys, reals.values, p->depth, seen, y + at, reals.scores);
        }
    }
}

/** Attention over keys and values in 8 bits (tte_codes.h). Scratch: s * (2 * depth + 1) floats. */
TTE_KERNEL tte_attention_codes_s8(const tte_attention_f32_params *p, const float *q, const int8_t *restrict k,
                                  const float *restrict k_scales, const int8_t *restrict v,
                                  const float *restrict v_scales, const int32_t *restrict span, float *y,
                                  int8_t *restrict scratch)
{
    tte_attention_coded(p, 8, q, k, k_scales, v, v_scales, span, y, scratch);
}

/** Attention over keys in 8 bits and values in 4. Scratch as before. */
TTE_KERNEL tte_attention_codes_u4(const tte_attention_f32_params *p, const float *q, const int8_t *restrict k,
                                  const float *restrict k_scales, const uint8_t *restrict v,
                                  const float *restrict v_scales, const int32_t *restrict span, float *y,
                                  int8_t *restrict scratch)
{
    tte_attention_coded(p, 4, q, k, k_scales, v, v_scales, span, y, scratch);
}

#endif
