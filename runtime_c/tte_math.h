/** @file tte_math.h  Functions of floats by + - * / alone, bit for bit tte/arith/floatmath.py. */
#ifndef TTE_MATH_H
#define TTE_MATH_H

#include "tte/tte_fixed.h"

/** e^x within 2 units in the last place; 0 below -87 and infinity above 88.7. x is not NaN. */
static inline float tte_exp(float x)
{
    if (x < -87.0f) {
        return 0.0f;
    }
    if (x > 88.7f) {
        return __builtin_inff();
    }
    const float n = x * 1.44269504f + 12582912.0f - 12582912.0f; /* to the nearest integer */
    const float r = x - n * 0.693359375f - n * -0.000212194440f;
    float p = 0.00139465043f;
    p = p * r + 0.00836918782f;
    p = p * r + 0.0416662619f;
    p = p * r + 0.166665152f;
    p = p * r + 0.5f;
    const float y = p * (r * r) + r + 1.0f;
    const int32_t power = (int32_t)n;
    const int32_t half = power >> 1;
    return y * tte_float_of_bits((127 + half) * (1 << 23)) * tte_float_of_bits((127 + power - half) * (1 << 23));
}

/** The natural logarithm within 2 units in the last place. x is a positive normal number. */
static inline float tte_log(float x)
{
    int32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    const int32_t power = (bits - 0x3f3504f3) >> 23; /* leaves m in [sqrt(1/2), sqrt(2)) */
    const float n = (float)power, f = tte_float_of_bits(bits - power * (1 << 23)) - 1.0f;
    const float s = f / (2.0f + f), square = s * s;
    float p = 0.222222224f;
    p = p * square + 0.285714298f;
    p = p * square + 0.400000006f;
    p = p * square + 0.666666687f;
    return n * 0.693359375f + (s + s + (s * square * p + n * -0.000212194440f));
}

/** 1 / (1 + e^-x). */
static inline float tte_sigmoid(float x)
{
    return 1.0f / (1.0f + tte_exp(-x));
}

/** The hyperbolic tangent within 2 units in the last place: a polynomial near zero, else by exp. */
static inline float tte_tanh(float x)
{
    const float size = x < 0.0f ? -x : x;
    if (size < 0.625f) {
        const float square = x * x;
        float p = -0.00577290216f;
        p = p * square + 0.0207005311f;
        p = p * square + -0.0537586398f;
        p = p * square + 0.133316681f;
        p = p * square + -0.333332896f;
        return p * square * x + x;
    }
    const float least = size > 20.0f ? 20.0f : size;
    const float far = 1.0f - 2.0f / (tte_exp(least + least) + 1.0f);
    return x < 0.0f ? -far : far;
}

/** The error function within 2 units in the last place: a polynomial near zero, else by exp; 1 from 4 on. */
static inline float tte_erf(float x)
{
    const float size = x < 0.0f ? -x : x;
    if (size < 1.0f) {
        const float square = x * x;
        float p = -0.000569663534f;
        p = p * square + 0.00493449671f;
        p = p * square + -0.0267269667f;
        p = p * square + 0.112807877f;
        p = p * square + -0.376124144f;
        p = p * square + 0.128379151f;
        return p * x + x;
    }
    const float least = size > 4.0f ? 4.0f : size;
    float p = 0.00115487631f;
    p = p * least + -0.0148107624f;
    p = p * least + 0.0887279361f;
    p = p * least + 0.654356837f;
    p = p * least + 1.11752987f;
    p = p * least + 0.00264683412f;
    const float far = 1.0f - tte_exp(-p);
    return x < 0.0f ? -far : far;
}

#endif
