/** @file hexagon_divide.c  The arithmetic that clang calls on a Hexagon: integer and floating-point division, roots. */
#include <stddef.h>
#include <stdint.h>

int32_t __hexagon_divsi3(int32_t a, int32_t b);
int32_t __hexagon_modsi3(int32_t a, int32_t b);
uint32_t __hexagon_udivsi3(uint32_t a, uint32_t b);
uint32_t __hexagon_umodsi3(uint32_t a, uint32_t b);
int64_t __hexagon_divdi3(int64_t a, int64_t b);
int64_t __hexagon_moddi3(int64_t a, int64_t b);
uint64_t __hexagon_udivdi3(uint64_t a, uint64_t b);
uint64_t __hexagon_umoddi3(uint64_t a, uint64_t b);
float __hexagon_divsf3(float a, float b);
double __hexagon_divdf3(double a, double b);
float __hexagon_sqrtf(float x);
void *__hexagon_memcpy_likely_aligned_min32bytes_mult8bytes(void *to, const void *from, size_t bytes);

extern float sqrtf(float x);
extern void *memcpy(void *restrict to, const void *restrict from, size_t bytes);

/** Quotient and remainder. Division by zero gives all ones and `a`, as on RISC-V. */
static uint32_t divide32(uint32_t a, uint32_t b, uint32_t *rest)
{
    uint32_t quotient = 0;
    if (b == 0u || a < b) {
        *rest = a;
        return b == 0u ? UINT32_MAX : 0u;
    }
    for (int shift = __builtin_clz(b) - __builtin_clz(a); shift >= 0; shift--) {
        if (a >> shift >= b) {
            a -= b << shift;
            quotient |= 1u << shift;
        }
    }
    *rest = a;
    return quotient;
}

static uint64_t divide64(uint64_t a, uint64_t b, uint64_t *rest)
{
    uint64_t quotient = 0;
    if (b == 0u || a < b) {
        *rest = a;
        return b == 0u ? UINT64_MAX : 0u;
    }
    for (int shift = __builtin_clzll(b) - __builtin_clzll(a); shift >= 0; shift--) {
        if (a >> shift >= b) {
            a -= b << shift;
            quotient |= (uint64_t)1 << shift;
        }
    }
    *rest = a;
    return quotient;
}

static uint32_t magnitude32(int32_t a)
{
    return a < 0 ? 0u - (uint32_t)a : (uint32_t)a;
}

static uint64_t magnitude64(int64_t a)
{
    return a < 0 ? 0u - (uint64_t)a : (uint64_t)a;
}

uint32_t __hexagon_udivsi3(uint32_t a, uint32_t b)
{
    uint32_t rest;
    return divide32(a, b, &rest);
}

uint32_t __hexagon_umodsi3(uint32_t a, uint32_t b)
{
    uint32_t rest;
    divide32(a, b, &rest);
    return rest;
}

int32_t __hexagon_divsi3(int32_t a, int32_t b)
{
    uint32_t rest;
    const uint32_t quotient = divide32(magnitude32(a), magnitude32(b), &rest);
    return (int32_t)((a ^ b) < 0 ? 0u - quotient : quotient);
}

int32_t __hexagon_modsi3(int32_t a, int32_t b)
{
    uint32_t rest;
    divide32(magnitude32(a), magnitude32(b), &rest);
    return (int32_t)(a < 0 ? 0u - rest : rest);
}

uint64_t __hexagon_udivdi3(uint64_t a, uint64_t b)
{
    uint64_t rest;
    return divide64(a, b, &rest);
}

uint64_t __hexagon_umoddi3(uint64_t a, uint64_t b)
{
    uint64_t rest;
    divide64(a, b, &rest);
    return rest;
}

int64_t __hexagon_divdi3(int64_t a, int64_t b)
{
    uint64_t rest;
    const uint64_t quotient = divide64(magnitude64(a), magnitude64(b), &rest);
    return (int64_t)((a ^ b) < 0 ? 0u - quotient : quotient);
}

int64_t __hexagon_moddi3(int64_t a, int64_t b)
{
    uint64_t rest;
    divide64(magnitude64(a), magnitude64(b), &rest);
    return (int64_t)(a < 0 ? 0u - rest : rest);
}

/** Split a finite, nonzero number of `bits` mantissa bits: its leading one at bit `bits`, and its exponent field. */
static int32_t split(uint64_t number, int bits, uint64_t *mantissa)
{
    const uint64_t one = (uint64_t)1 << bits;
    const int32_t exponent = (int32_t)(number >> bits);
    *mantissa = number & (one - 1u);
    if (exponent != 0) {
        *mantissa |= one;
        return exponent;
    }
    const int shift = __builtin_clzll(*mantissa) - (63 - bits);
    *mantissa <<= shift;
    return 1 - shift;
}

/** a / b of IEEE 754 numbers without their signs, with `bits` mantissa bits, rounded to nearest even. */
static uint64_t divide_finite(uint64_t a, uint64_t b, int bits, int32_t bias)
{
    const int32_t infinite = 2 * bias + 1;
    uint64_t dividend, divisor, quotient = 0;
    int32_t exponent = split(a, bits, &dividend);
    exponent += bias - split(b, bits, &divisor);
    if (dividend < divisor) {
        dividend <<= 1;
        exponent--;
    }
    for (int i = 0; i < bits + 3; i++) { /* bits + 1 that are kept, and two more to round by */
        quotient <<= 1;
        if (dividend >= divisor) {
            dividend -= divisor;
            quotient |= 1u;
        }
        dividend <<= 1;
    }
    quotient |= dividend != 0u;
    if (exponent >= infinite) {
        return (uint64_t)infinite << bits;
    }
    if (exponent <= 0) { /* subnormal: what falls off joins the lowest bit */
        const int32_t shift = exponent < -bits - 2 ? bits + 3 : 1 - exponent;
        quotient = quotient >> shift | ((quotient & (((uint64_t)1 << shift) - 1u)) != 0u);
        exponent = 1;
    }
    quotient += 1u + (quotient >> 2 & 1u);
    /* The leading one, if there is one, adds itself to the exponent field. */
    return ((uint64_t)(exponent - 1) << bits) + (quotient >> 2);
}

/** a / b of the bits of two IEEE 754 numbers; `top` is their sign bit. */
static uint64_t divide_float(uint64_t a, uint64_t b, int bits, int32_t bias, uint64_t top)
{
    const uint64_t sign = (a ^ b) & top, infinity = (uint64_t)(2 * bias + 1) << bits;
    const uint64_t not_a_number = infinity | (uint64_t)1 << (bits - 1);
    a &= top - 1u;
    b &= top - 1u;
    if (a > infinity || b > infinity || (a == infinity && b == infinity) || (a == 0u && b == 0u)) {
        return not_a_number;
    }
    if (a == infinity || b == 0u) {
        return sign | infinity;
    }
    return a == 0u || b == infinity ? sign : sign | divide_finite(a, b, bits, bias);
}

float __hexagon_divsf3(float a, float b)
{
    union {
        float value;
        uint32_t bits;
    } x = {.value = a}, y = {.value = b};
    x.bits = (uint32_t)divide_float(x.bits, y.bits, 23, 127, (uint64_t)1 << 31);
    return x.value;
}

double __hexagon_divdf3(double a, double b)
{
    union {
        double value;
        uint64_t bits;
    } x = {.value = a}, y = {.value = b};
    x.bits = divide_float(x.bits, y.bits, 52, 1023, (uint64_t)1 << 63);
    return x.value;
}

float __hexagon_sqrtf(float x)
{
    return sqrtf(x);
}

void *__hexagon_memcpy_likely_aligned_min32bytes_mult8bytes(void *to, const void *from, size_t bytes)
{
    return memcpy(to, from, bytes);
}
