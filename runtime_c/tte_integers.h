/** @file tte_integers.h  Integers of either type, and four sums of them as floats. */
#ifndef TTE_INTEGERS_H
#define TTE_INTEGERS_H

#include "tte/tte.h"
#include "tte/tte_dot.h"
#include "tte/tte_floats4.h"

/** Element i of s8 or s16. */
TTE_INLINE int32_t tte_integer_at(const void *p, int32_t s8, int32_t i)
{
    return s8 ? ((const int8_t *)p)[i] : ((const int16_t *)p)[i];
}

/** Each to the nearest float, ties to even. */
TTE_INLINE tte_floats4 tte_floats_of(tte_sums4 s)
{
    return (tte_floats4){(float)s.a, (float)s.b, (float)s.c, (float)s.d};
}

/** (float)s * step for a power of two from 2^-100 to 2^100: mostly a few integer instructions, as no FPU is needed. */
TTE_INLINE float tte_scaled_sum(int32_t s, float step)
{
    const uint32_t size = s < 0 ? 0u - (uint32_t)s : (uint32_t)s;
    if (size == 0 || size >> 24 != 0) {
        return (float)s * step;
    }
    const int32_t up = __builtin_clz(size) - 8; /* size * 2^up has 24 bits, of which a float shows the last 23 */
    uint32_t bits;
    float y;
    __builtin_memcpy(&bits, &step, sizeof bits);
    bits += ((uint32_t)(23 - up) << 23) + ((size << up) & 0x7fffffu);
    bits |= s < 0 ? 0x80000000u : 0u;
    __builtin_memcpy(&y, &bits, sizeof y);
    return y;
}

/** The same of four sums. */
TTE_INLINE tte_floats4 tte_scaled_sums(tte_sums4 s, float step)
{
    return (tte_floats4){tte_scaled_sum(s.a, step), tte_scaled_sum(s.b, step), tte_scaled_sum(s.c, step),
                         tte_scaled_sum(s.d, step)};
}

#endif
