/** @file tte_bits.h  Tensors of bits, element i being bit i % 8 of byte i / 8: masks of clamps. */
#ifndef TTE_BITS_H
#define TTE_BITS_H

#include "tte/tte.h"
#include "tte/tte_fixed.h"

/** Let elements first to first + n - 1 be 1. */
TTE_INLINE void tte_set_bits(uint8_t *bits, int32_t first, int32_t n)
{
    for (int32_t i = first; i < first + n;) {
        const int32_t whole = i % 8 == 0 && i + 8 <= first + n;
        bits[i / 8] = (uint8_t)(whole ? 0xffu : bits[i / 8] | 1u << i % 8);
        i += whole ? 8 : 1;
    }
}

/** Let element i be 0. */
TTE_INLINE void tte_clear_bit(uint8_t *bits, int32_t i)
{
    uint8_t *const byte = bits + (uint32_t)i / 8;
    *byte = (uint8_t)(*byte & ~(1u << (uint32_t)i % 8));
}

/** Before the clamp of elements first to first + n - 1: none of them was clamped. `mask` may be NULL. */
TTE_INLINE void tte_mask_begin(uint8_t *mask, int32_t first, int32_t n)
{
    if (mask) {
        tte_set_bits(mask, first, n);
    }
}

/** x clamped to [lo, hi], in s8; if that is another number, element i of `mask`, if that is not NULL, becomes 0. */
TTE_INLINE int8_t tte_clamp_masked(int32_t x, int32_t lo, int32_t hi, uint8_t *mask, int32_t i)
{
    const int32_t clamped = tte_clamp_s32(x, lo, hi);
    if (mask && clamped != x) {
        tte_clear_bit(mask, i);
    }
    return (int8_t)clamped;
}

#endif
