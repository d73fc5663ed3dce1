/** @file tte_bits.h  Tensors of bits: element i is bit i % 8 of byte i / 8. */
#ifndef TTE_BITS_H
#define TTE_BITS_H

#include "tte/tte.h"

/** Let element i be `bit`, 0 or 1. */
TTE_INLINE void tte_set_bit(uint8_t *bits, int32_t i, int32_t bit)
{
    const uint32_t others = bits[i / 8] & ~(1u << i % 8);
    bits[i / 8] = (uint8_t)(others | (uint32_t)bit << i % 8);
}

#endif
