/** @file attention_codes_simd.h  Causal attention over a cache in few bits, by vectors; y may lie on q. */
#ifndef TTE_ATTENTION_CODES_SIMD_H
#define TTE_ATTENTION_CODES_SIMD_H

#include "tte/kernels/attention_codes.h"
#include "tte/kernels/attention_simd.h"

/** As tte_attention_coded. */
TTE_INLINE void tte_attention_coded_simd(const tte_attention_f32_params *p, int32_t bits, const float *q,
                                         const int8_t *restrict k, const float *restrict k_scales,
                                         const void *restrict v, const float *restrict v_scales,
                                         const int32_t *restrict span, float *y, int8_t *restrict scratch)
{
    const tte_attention_reals reals = tte_attention_scratch(p, scratch);
    for (int32_t h = 0; h < p->kv_heads * p->group; h++) {
        const int32_t own = h * p->depth;
        if (h % p->group == 0) {
            tte_attention_decode(p, bits, h / p->group, k, k_scales, v, v_scales, span, &reals);
        }
        tte_attention_rows(p, q + own, reals.keys, reals.values, p->depth, span, y + own, reals.scores);
    }
}

/** As tte_attention_codes_s8, with its bits, where depth is a multiple of four; scores of TTE_ATTENTION_ROWS rows. */
TTE_KERNEL tte_attention_codes_s8_simd(const tte_attention_f32_params *p, const float *q, const int8_t *restrict k,
                                       const float *restrict k_scales, const int8_t *restrict v,
                                       const float *restrict v_scales, const int32_t *restrict span, float *y,
                                       int8_t *restrict scratch)
{
    tte_attention_coded_simd(p, 8, q, k, k_scales, v, v_scales, span, y, scratch);
}

/** As tte_attention_codes_u4, likewise. */
TTE_KERNEL tte_attention_codes_u4_simd(const tte_attention_f32_params *p, const float *q, const int8_t *restrict k,
                                       const float *restrict k_scales, const uint8_t *restrict v,
                                       const float *restrict v_scales, const int32_t *restrict span, float *y,
                                       int8_t *restrict scratch)
{
    tte_attention_coded_simd(p, 4, q, k, k_scales, v, v_scales, span, y, scratch);
}

#endif
