/** @file tte_floats4.h  What gradients of convolutions share: sums of four channels in f32, and where taps lie. */
#ifndef TTE_FLOATS4_H
#define TTE_FLOATS4_H

#include "tte/tte.h"

/** Four neighbouring channels. */
typedef struct { float a, b, c, d; } tte_floats4;

TTE_INLINE tte_floats4 tte_load4(const float *p)
{
    return (tte_floats4){p[0], p[1], p[2], p[3]};
}

TTE_INLINE void tte_store4(float *p, tte_floats4 v)
{
    p[0] = v.a, p[1] = v.b, p[2] = v.c, p[3] = v.d;
}

TTE_INLINE tte_floats4 tte_plus4(tte_floats4 x, tte_floats4 y)
{
    return (tte_floats4){x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d};
}

TTE_INLINE tte_floats4 tte_times4(tte_floats4 x, tte_floats4 y)
{
    return (tte_floats4){x.a * y.a, x.b * y.b, x.c * y.c, x.d * y.d};
}

/** Four times v. */
TTE_INLINE tte_floats4 tte_all4(float v)
{
    return (tte_floats4){v, v, v, v};
}

/** sums + v * w, each product rounded before it is added. */
TTE_INLINE tte_floats4 tte_add4(tte_floats4 sums, float v, tte_floats4 w)
{
    return tte_plus4(sums, tte_times4(tte_all4(v), w));
}

/** sums + v * w, channel by channel. */
TTE_INLINE tte_floats4 tte_add4_each(tte_floats4 sums, tte_floats4 v, tte_floats4 w)
{
    return tte_plus4(sums, tte_times4(v, w));
}

/** Element i of s8 or f32 as a float. */
TTE_INLINE float tte_float_at(const void *p, int32_t s8, int32_t i)
{
    return s8 ? (float)((const int8_t *)p)[i] : ((const float *)p)[i];
}

/**
 * The rows of a convolution's result, first <= o < last of n, for which tap k lies in x, which has `extent` rows; or
 * columns alike.
 */
TTE_INLINE tte_span tte_taken(int32_t k, int32_t n, int32_t extent, int32_t pad, int32_t stride, int32_t dilation)
{
    const int32_t start = k * dilation - pad;
    const int32_t first = start < 0 ? (stride - 1 - start) / stride : 0;
    const int32_t last = extent > start ? (extent - 1 - start) / stride + 1 : 0, end = last < n ? last : n;
    return (tte_span){first, end > first ? end : first};
}

#endif
