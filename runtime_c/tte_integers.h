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

#endif
