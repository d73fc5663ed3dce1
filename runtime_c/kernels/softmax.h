/** @file softmax.h  Softmax along rows. */
#ifndef TTE_SOFTMAX_H
#define TTE_SOFTMAX_H

#include "tte/tte.h"
#include "tte/tte_math.h"

typedef struct { int32_t rows, depth; } tte_softmax_s8_params;
typedef struct {
    int32_t rows, depth;
    float scale_y;
    int32_t zero_y;
} tte_softmax_onnx_s8_params;
typedef struct {
    int32_t rows, depth;
    float beta;
} tte_softmax_f32_params;

TTE_INLINE int32_t tte_softmax_max(const int8_t *x, int32_t depth)
{
    int32_t max = x[0];
    for (int32_t i = 1; i < depth; i++) {
        max = x[i] > max ? x[i] : max;
    }
    return max;
}

/**
 * r and *bits with 1 / (total / 2^19) = r / 2^31 / 2^bits, for 2^19 <= total < 2^31, by Newton's iteration as LiteRT
 * has it: the start is 48/17 - 32/17 * half, in s32 with 29 fractional bits.
 */
static inline int32_t tte_reciprocal(int32_t total, int32_t *bits)
{
    const int32_t zeros = __builtin_clz((unsigned)total);
    const int32_t rest = (int32_t)(((uint32_t)total << zeros) - 0x80000000u);
    const int32_t half = (int32_t)(((int64_t)rest + INT32_MAX + 1) / 2);
    int32_t x = 1515870810 + tte_mul_q31(half, -1010580540);
    for (int32_t i = 0; i < 3; i++) {
        const int64_t step = (int64_t)tte_mul_q31(x, (1 << 29) - tte_mul_q31(half, x)) * 4;
        x += (int32_t)(step < INT32_MIN ? INT32_MIN : step > INT32_MAX ? INT32_MAX : step);
    }
    *bits = 12 - zeros;
    return x > INT32_MAX / 2 ? INT32_MAX : x * 2;
}

/**
 * y = e^(x - max) / sum of e^(x - max), with scale 1/256 and zero -128, in LiteRT's fixed point.
 * table[d] is e^(-d * scale) with 31 fractional bits; sums have 19, so that 4095 elements stay below 2^31.
 */
TTE_KERNEL tte_softmax_s8(const tte_softmax_s8_params *p, const int8_t *restrict x, const int32_t *restrict table,
                          int8_t *restrict y)
{
    for (int32_t row = 0; row < p->rows; row++, x += p->depth, y += p->depth) {
        const int32_t max = tte_softmax_max(x, p->depth);
        int32_t total = 0, bits;
        for (int32_t i = 0; i < p->depth; i++) {
            total += tte_divide_by_power(table[max - x[i]], 12);
        }
        const int32_t r = tte_reciprocal(total, &bits);
        for (int32_t i = 0; i < p->depth; i++) {
            const int32_t q = tte_divide_by_power(tte_mul_q31(r, table[max - x[i]]), bits + 23) - 128;
            y[i] = (int8_t)tte_min_s32(q, 127);
        }
    }
}

/** y = rne(e / total / scale_y) + zero_y, where e = table[max - x] and total is the row's sum of e in order. */
TTE_KERNEL tte_softmax_onnx_s8(const tte_softmax_onnx_s8_params *p, const int8_t *restrict x,
                               const float *restrict table, int8_t *restrict y)
{
    for (int32_t row = 0; row < p->rows; row++, x += p->depth, y += p->depth) {
        const int32_t max = tte_softmax_max(x, p->depth);
        float total = 0.0f;
        for (int32_t i = 0; i < p->depth; i++) {
            total += table[max - x[i]];
        }
        for (int32_t i = 0; i < p->depth; i++) {
            const int32_t q = tte_round_even(table[max - x[i]] / total / p->scale_y) + p->zero_y;
            y[i] = (int8_t)tte_clamp_s32(q, -128, 127);
        }
    }
}

/** y = e / total, where e = e^((x - max) * beta) and total is the row's sum of e in order. */
TTE_KERNEL tte_softmax_f32(const tte_softmax_f32_params *p, const float *restrict x, float *restrict y)
{
    for (int32_t row = 0; row < p->rows; row++, x += p->depth, y += p->depth) {
        float max = x[0], total = 0.0f;
        for (int32_t i = 1; i < p->depth; i++) {
            max = x[i] > max ? x[i] : max;
        }
        for (int32_t i = 0; i < p->depth; i++) {
            y[i] = tte_exp((x[i] - max) * p->beta);
            total += y[i];
        }
        for (int32_t i = 0; i < p->depth; i++) {
            y[i] /= total;
        }
    }
}

#endif
