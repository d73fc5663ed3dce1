/** @file tte_fixed.h  How sums of products become int8 again, bit for bit tte/arith/fixed.py. Right shifts are arithmetic. */
#ifndef TTE_FIXED_H
#define TTE_FIXED_H

#include <stdint.h>

/** Values of the parameter `rounding`, a constant at every call (DESIGN 4). */
enum { TTE_TFLITE, TTE_ONNX, TTE_SINGLE };

static inline int32_t tte_max_s32(int32_t a, int32_t b) { return a > b ? a : b; }
static inline int32_t tte_min_s32(int32_t a, int32_t b) { return a < b ? a : b; }

static inline int32_t tte_clamp_s32(int32_t x, int32_t lo, int32_t hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

static inline float tte_float_of_bits(int32_t bits)
{
    float f;
    __builtin_memcpy(&f, &bits, sizeof f);
    return f;
}

/** x to the nearest integer, ties to even; x is clamped first, limit <= 2^22. Adding 1.5 * 2^23 leaves no fraction. */
static inline int32_t tte_round_even_within(float x, float limit)
{
    const float clamped = x < -limit ? -limit : x > limit ? limit : x;
    const float shifted = clamped + 12582912.0f;
    int32_t bits;
    __builtin_memcpy(&bits, &shifted, sizeof bits);
    return bits - 0x4B400000;
}

/** x to the nearest integer, ties to even; x is clamped to [-512, 512] first. */
static inline int32_t tte_round_even(float x)
{
    return tte_round_even_within(x, 512.0f);
}

/** x to the nearest integer, ties away from zero; x is clamped to [-512, 512] first. The rest is exact. */
static inline int32_t tte_round_away(float x)
{
    const float clamped = x < -512.0f ? -512.0f : x > 512.0f ? 512.0f : x;
    const int32_t whole = (int32_t)clamped;
    const float rest = clamped - (float)whole;
    return whole + (rest >= 0.5f) - (rest <= -0.5f);
}

/** a * b / 2^31 to the nearest integer, ties upward. */
static inline int32_t tte_mul_q31(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/** x / 2^shift to the nearest integer, ties away from zero; 0 <= shift <= 31, |x| < 2^31 - 1 (for shift 1). */
static inline int32_t tte_divide_by_power(int32_t x, int32_t shift)
{
    return shift > 0 ? (((x + (x >> 31)) >> (shift - 1)) + 1) >> 1 : x;
}

/**
 * The sum of a channel in units of the result, before zero point and clamp. `m` and `shift` are the channel's constants
 * (tte/arith/fixed.py: channels). |acc| <= 3 * 2^30 cannot overflow; a sum past 32 bits saturates under TTE_TFLITE.
 */
static inline int32_t tte_finish(int32_t rounding, int64_t acc, int32_t m, int32_t shift)
{
    if (rounding == TTE_ONNX) {
        return tte_round_even((float)acc * tte_float_of_bits(m));
    }
    if (rounding == TTE_SINGLE) {
        const int64_t y = (acc * m + (INT64_C(1) << (30 + shift))) >> (31 + shift);
        return (int32_t)(y < INT32_MIN ? INT32_MIN : y > INT32_MAX ? INT32_MAX : y); /* a ratio above 1 may pass s32 */
    }
    const int64_t left = shift < 0 ? acc * (INT64_C(1) << -shift) : acc;
    const int32_t x = (int32_t)(left < INT32_MIN ? INT32_MIN : left > INT32_MAX ? INT32_MAX : left);
    return tte_divide_by_power(tte_mul_q31(x, m), shift < 0 ? 0 : shift);
}

#endif
