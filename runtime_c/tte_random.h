/** @file tte_random.h  Random bits from counters, bit for bit tte/arith/random.py: what was drawn before doesn't matter. */
#ifndef TTE_RANDOM_H
#define TTE_RANDOM_H

#include "tte/tte.h"

/** The key of a tensor's random bits. */
typedef struct { uint32_t first, second; } tte_key;

/** One to one on 32 bits, such that each bit of x changes each bit of the result half the time. */
TTE_INLINE uint32_t tte_mix(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return x ^ x >> 16;
}

/** Another key for each clock = (step, seed) and number of the tensor. */
TTE_INLINE tte_key tte_key_of(const int32_t *clock, int32_t number)
{
    const uint32_t turn = tte_mix(tte_mix((uint32_t)clock[1] + 0x9E3779B9u) ^ (uint32_t)clock[0]);
    const uint32_t first = tte_mix(turn ^ (uint32_t)number);
    const tte_key key = {first, tte_mix(first + turn)};
    return key;
}

/** The 32 bits of element i, in the tensor's canonical layout. */
TTE_INLINE uint32_t tte_bits(tte_key key, int32_t i)
{
    uint32_t x = (uint32_t)i + key.first;
    x = (x ^ x >> 16) * 0x7FEB352Du + key.second;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return x ^ x >> 16;
}

#endif
