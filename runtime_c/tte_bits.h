/** @file tte_bits.h  Tensors of bits, element i being bit i % 8 of byte i / 8: masks of clamps. */
#ifndef TTE_BITS_H
#define TTE_BITS_H

#include "tte/tte.h"
#include "tte/tte_fixed.h"

/** Let element i be `bit`, 0 or 1. */
TTE_INLINE void tte_set_bit(uint8_t *bits, int32_t i, int32_t bit)
{
    uint8_t *const byte = bits + (uint32_t)i / 8;
    const uint32_t place = (uint32_t)i % 8;
    *byte = (uint8_t)((*byte & ~(1u << place)) | (uint32_t)bit << place);
}

/** x clamped to [lo, hi], in s8; element i of `mask`, if that is not NULL, says whether x lay there. */
TTE_INLINE int8_t tte_clamp_masked(int32_t x, int32_t lo, int32_t hi, uint8_t *mask, int32_t i)
{
    const int32_t clamped = tte_clamp_s32(x, lo, hi);
    if (mask) {
        tte_set_bit(mask, i, clamped == x);
    }
    return (int8_t)clamped;
}

#endif
