/** @file dots.h  Dot products of four bytes in every lane: NEON's, SSE2's, or plain C. All are exact. */
#ifndef TTE_DOTS_H
#define TTE_DOTS_H

#include "tte/simd/lanes.h"
#if defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

/** Bytes at any address, and halfwords. */
typedef int8_t tte_s8x16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef int16_t tte_s16x8 __attribute__((vector_size(16), aligned(1), may_alias));

/** The sixteen bytes from x on. */
TTE_INLINE tte_s8x16 tte_load_s8x16(const void *x)
{
    return *(const tte_s8x16 *)x;
}

/** The bytes x[0..there-1], there <= 4 and a constant, and zeros, in every lane of four. */
TTE_INLINE tte_s8x16 tte_spread_s8(const int8_t *x, int32_t there)
{
    int32_t word = 0;
    __builtin_memcpy(&word, x, (size_t)there);
    const tte_s32x4 words = {word, word, word, word};
    return (tte_s8x16)words;
}

#if defined(__SSE2__) && !defined(__ARM_FEATURE_DOTPROD)
/** sum + a . b by pairs of halfwords. */
TTE_INLINE tte_s32x4 tte_pairs_s16(tte_s32x4 sum, tte_s16x8 a, tte_s16x8 b)
{
    typedef int16_t halves __attribute__((vector_size(16)));
    return sum + (tte_s32x4)__builtin_ia32_pmaddwd128((halves)a, (halves)b);
}
#endif

/** Lane i of the result is that of sum, and w[4i..4i+3] . x[4i..4i+3]. */
TTE_INLINE tte_s32x4 tte_dot4_s8(tte_s32x4 sum, tte_s8x16 w, tte_s8x16 x)
{
#if defined(__ARM_FEATURE_DOTPROD)
    return (tte_s32x4)vdotq_s32((int32x4_t)sum, (int8x16_t)w, (int8x16_t)x);
#elif defined(__SSE2__)
    const tte_s16x8 a = (tte_s16x8)w, b = (tte_s16x8)x; /* the bytes of a halfword: the upper, then the lower */
    return tte_pairs_s16(tte_pairs_s16(sum, a >> 8, b >> 8), a << 8 >> 8, b << 8 >> 8);
#else
    for (int32_t i = 0; i < 16; i++) {
        sum[i / 4] += w[i] * x[i];
    }
    return sum;
#endif
}

/**
 * Lane i of the result is that of sum, and the products of eight codes of four bits with x: the lower ones of
 * w[4i..4i+3] with x0[4i..4i+3], the upper ones with x1[4i..4i+3].
 */
TTE_INLINE tte_s32x4 tte_dot8_u4(tte_s32x4 sum, tte_s8x16 w, tte_s8x16 x0, tte_s8x16 x1)
{
#if defined(__SSE2__) && !defined(__ARM_FEATURE_DOTPROD)
    const tte_s16x8 codes = (tte_s16x8)w, a = (tte_s16x8)x0, b = (tte_s16x8)x1;
    sum = tte_pairs_s16(sum, codes & 15, a << 8 >> 8);
    sum = tte_pairs_s16(sum, codes >> 8 & 15, a >> 8);
    sum = tte_pairs_s16(sum, codes >> 4 & 15, b << 8 >> 8);
    return tte_pairs_s16(sum, codes >> 12 & 15, b >> 8);
#else
    return tte_dot4_s8(tte_dot4_s8(sum, w & 15, x0), w >> 4 & 15, x1);
#endif
}

#endif
