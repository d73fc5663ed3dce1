/** @file tte_stepping.h  How weights take steps that may be far below one, bit for bit tte/arith/stepping.py. */
#ifndef TTE_STEPPING_H
#define TTE_STEPPING_H

#include "tte/tte_random.h"

/** 1 in each call number `every`, counted from 1; clock is (calls before, seed). */
TTE_INLINE int32_t tte_due(const int32_t *clock, int32_t every)
{
    return ((uint32_t)clock[0] + 1u) % (uint32_t)every == 0u;
}

/** t cut to [-2^30, 2^30]; 0 if it is no number. */
TTE_INLINE float tte_cut(float t)
{
    return t > 1073741824.0f ? 1073741824.0f : t < -1073741824.0f ? -1073741824.0f : t == t ? t : 0.0f;
}

/** tte_stochastic of a t from 1/2 on, whose fraction is of 24 bits; rare, so it is a function, out of the loops. */
static __attribute__((noinline, unused)) int32_t tte_stochastic_far(float t, uint32_t bits)
{
    const float cut = tte_cut(t);
    const int32_t whole = (int32_t)cut;
    const int64_t rest = (int64_t)(int32_t)((cut - (float)whole) * 2147483648.0f) * 2;
    return (int32_t)(((int64_t)bits - rest) >> 32) - whole;
}

/** floor(u - t) with u = bits / 2^32, which is -t on average. The fraction of t is cut to 32 bits, toward zero. */
TTE_INLINE int32_t tte_stochastic(float t, uint32_t bits)
{
    if (__builtin_fabsf(t) < 0.5f) {
        return (int32_t)(((int64_t)bits - (int32_t)(t * 4294967296.0f)) >> 32);
    }
    return tte_stochastic_far(t, bits);
}

/** base^n by repeated squaring, from the lowest bit of n. */
TTE_INLINE float tte_power(float base, uint32_t n)
{
    float result = 1.0f;
    for (; n > 0u; n >>= 1) {
        result = n & 1u ? result * base : result;
        base = base * base;
    }
    return result;
}

#endif
