/** @file attention_simd.h  Causal attention, four positions or four elements at a time; y may lie on q. */
#ifndef TTE_ATTENTION_SIMD_H
#define TTE_ATTENTION_SIMD_H

#include "tte/kernels/attention.h"
#include "tte/simd/lanes.h"

/** The scores of the four positions from k on: each sum in order, in a lane of its own. */
TTE_INLINE tte_f32x4 tte_attention_four(const tte_attention_f32_params *p, const float *restrict q,
                                        const float *restrict k, int32_t width)
{
    tte_f32x4 sum = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int32_t j = 0; j < p->depth; j += 4, k += 4) {
        const tte_f32x4 a = tte_load_f32x4(k), b = tte_load_f32x4(k + width);
        const tte_f32x4 c = tte_load_f32x4(k + 2 * width), d = tte_load_f32x4(k + 3 * width);
        const tte_f32x4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        const tte_f32x4 AB = __builtin_shufflevector(a, b, 2, 6, 3, 7), CD = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        sum += q[j] * __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
        sum += q[j + 1] * __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
        sum += q[j + 2] * __builtin_shufflevector(AB, CD, 0, 1, 4, 5);
        sum += q[j + 3] * __builtin_shufflevector(AB, CD, 2, 3, 6, 7);
    }
    return sum * p->scale;
}

/** As tte_attention_scores. */
TTE_INLINE float tte_attention_scores_simd(const tte_attention_f32_params *p, const float *restrict q,
                                           const float *restrict k, int32_t width, int32_t seen, float *restrict a)
{
    const int32_t fours = seen / 4 * 4;
    const float least = -__builtin_inff();
    tte_f32x4 most = {least, least, least, least};
    for (int32_t at = 0; at < fours; at += 4) {
        const tte_f32x4 scores = tte_attention_four(p, q, k + at * width, width);
        most = tte_either_f32x4(scores > most, scores, most);
        tte_store_f32x4(a + at, scores);
    }
    float max = fours < seen ? tte_attention_scores(p, q, k + fours * width, width, seen - fours, a + fours) : least;
    for (int32_t i = 0; i < 4; i++) {
        max = most[i] > max ? most[i] : max;
    }
    return max;
}

/** a = e^(a - max). */
TTE_INLINE void tte_attention_powers(float *a, int32_t seen, float max)
{
    int32_t at = 0;
    for (; at + 4 <= seen; at += 4) {
        tte_store_f32x4(a + at, tte_exp_f32x4(tte_load_f32x4(a + at) - max));
    }
    for (; at < seen; at++) {
        a[at] = tte_exp(a[at] - max);
    }
}

/** y = sum of a * v / sum of a for four elements of each of `parts` vectors; all sums are in order, side by side. */
TTE_INLINE void tte_attention_mean(int32_t parts, const float *restrict a, int32_t seen, const float *restrict v,
                                   int32_t width, float *restrict y)
{
    tte_f32x4 sums[4] = {{0.0f}};
    float total = 0.0f;
    for (int32_t at = 0; at < seen; at++, v += width) {
        total += a[at];
        for (int32_t i = 0; i < parts; i++) {
            sums[i] += a[at] * tte_load_f32x4(v + 4 * i);
        }
    }
    for (int32_t i = 0; i < parts; i++) {
        tte_store_f32x4(y + 4 * i, sums[i] / total);
    }
}

/** As tte_attention_f32, with its bits, where depth is a multiple of four. */
TTE_KERNEL tte_attention_f32_simd(const tte_attention_f32_params *p, const float *q, const float *restrict k,
                                  const float *restrict v, const int32_t *restrict span, float *y,
                                  int8_t *restrict scratch)
{
    const int32_t width = p->width;
    float *a = (float *)(void *)scratch;
    for (int32_t i = 0; i < p->n; i++) {
        const int32_t seen = tte_position(span, p->row + i, p->s) + 1;
        for (int32_t h = 0; h < p->kv_heads * p->group; h++, q += p->depth, y += p->depth) {
            const int32_t first = h / p->group * p->depth;
            const float max = tte_attention_scores_simd(p, q, k + first, width, seen, a);
            tte_attention_powers(a, seen, max);
            int32_t j = 0;
            for (; j + 16 <= p->depth; j += 16) {
                tte_attention_mean(4, a, seen, v + first + j, width, y + j);
            }
            for (; j + 8 <= p->depth; j += 8) {
                tte_attention_mean(2, a, seen, v + first + j, width, y + j);
            }
            for (; j < p->depth; j += 4) {
                tte_attention_mean(1, a, seen, v + first + j, width, y + j);
            }
        }
    }
}

#endif
