/** @file sqrtf.c  sqrtf, rounded to nearest even, in integers, for boards without a mathematical library. */
#include <stdint.h>

float sqrtf(float x);

static float from_bits(uint32_t bits)
{
    union {
        uint32_t bits;
        float value;
    } u = {.bits = bits};
    return u.value;
}

float sqrtf(float x)
{
    const union {
        float value;
        uint32_t bits;
    } u = {.value = x};
    const uint32_t bits = u.bits;
    if ((bits << 1) == 0u || bits == 0x7F800000u) {
        return x; /* zeros and infinity are their own roots */
    }
    if (bits > 0x7F800000u) { /* negative, or not a number */
        return from_bits(0x7FC00000u);
    }
    int32_t exponent = (int32_t)(bits >> 23);
    uint32_t mantissa = bits & 0x7FFFFFu;
    if (exponent == 0) {
        const int32_t shift = __builtin_clz(mantissa) - 8;
        mantissa <<= shift;
        exponent = 1 - shift;
    } else {
        mantissa |= 0x800000u;
    }
    exponent -= 127;
    /* x = m * 2^e with e even and 1 <= m < 4: the root of m * 2^48 has 25 bits, one more than a float keeps. */
    uint64_t rest = (uint64_t)mantissa << (25 + (exponent & 1));
    exponent = (exponent - (exponent & 1)) / 2;
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 48; bit != 0u; bit >>= 2) {
        const uint64_t next = root + bit;
        root >>= 1;
        if (rest >= next) {
            rest -= next;
            root += bit;
        }
    }
    /* No root lies halfway between two floats, so the extra bit alone says where to round. */
    const uint32_t rounded = ((uint32_t)root + 1u) >> 1;
    return from_bits((uint32_t)(exponent + 126) * 0x800000u + rounded);
}
