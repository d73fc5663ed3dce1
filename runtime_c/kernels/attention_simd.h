/** @file attention_simd.h  Causal attention, several rows and four positions or elements at a time; y may lie on q. */
#ifndef TTE_ATTENTION_SIMD_H
#define TTE_ATTENTION_SIMD_H

#include "tte/kernels/attention.h"
#include "tte/simd/lanes.h"

#define TTE_ATTENTION_ROWS 8 /* computed at a time: they share what is read of keys and values */

/** a[r] = (q[r] . k) * scale of `rows` rows at four positions from k on: each sum in order, in a lane of its own. */
TTE_INLINE void tte_attention_four(const tte_attention_f32_params *p, int32_t rows, const float *restrict q,
                                   const float *restrict k, int32_t width, float *restrict a)
{
    tte_f32x4 sums[TTE_ATTENTION_ROWS] = {{0.0f}};
    for (int32_t j = 0; j < p->depth; j += 4, k += 4) {
        const tte_f32x4 k0 = tte_load_f32x4(k), k1 = tte_load_f32x4(k + width);
        const tte_f32x4 k2 = tte_load_f32x4(k + 2 * width), k3 = tte_load_f32x4(k + 3 * width);
        const tte_f32x4 a01 = __builtin_shufflevector(k0, k1, 0, 4, 1, 5);
        const tte_f32x4 a23 = __builtin_shufflevector(k2, k3, 0, 4, 1, 5);
        const tte_f32x4 b01 = __builtin_shufflevector(k0, k1, 2, 6, 3, 7);
        const tte_f32x4 b23 = __builtin_shufflevector(k2, k3, 2, 6, 3, 7);
        const tte_f32x4 columns[] = {
            __builtin_shufflevector(a01, a23, 0, 1, 4, 5), __builtin_shufflevector(a01, a23, 2, 3, 6, 7),
            __builtin_shufflevector(b01, b23, 0, 1, 4, 5), __builtin_shufflevector(b01, b23, 2, 3, 6, 7),
        };
        for (int32_t r = 0; r < rows; r++) {
            const tte_f32x4 x = tte_load_f32x4(q + r * p->kv_heads * p->group * p->depth + j);
            for (int32_t c = 0; c < 4; c++) {
                sums[r] += x[c] * columns[c];
            }
        }
    }
    for (int32_t r = 0; r < rows; r++) {
        tte_store_f32x4(a + r * p->s, sums[r] * p->scale);
    }
}

/** The greatest of a[0] to a[n - 1]. */
TTE_INLINE float tte_attention_most(const float *a, int32_t n)
{
    const float least = -__builtin_inff();
    tte_f32x4 fours = {least, least, least, least};
    int32_t at = 0;
    for (; at + 4 <= n; at += 4) {
        const tte_f32x4 v = tte_load_f32x4(a + at);
        fours = tte_either_f32x4(v > fours, v, fours);
    }
    float most = least;
    for (int32_t c = 0; c < 4; c++) {
        most = fours[c] > most ? fours[c] : most;
    }
    for (; at < n; at++) {
        most = a[at] > most ? a[at] : most;
    }
    return most;
}

/** a = e^(a - max of a); returns their sum, in order. */
TTE_INLINE float tte_attention_powers(float *a, int32_t seen)
{
    const float max = tte_attention_most(a, seen);
    float total = 0.0f;
    int32_t at = 0;
    for (; at + 4 <= seen; at += 4) {
        const tte_f32x4 e = tte_exp_f32x4(tte_load_f32x4(a + at) - max);
        tte_store_f32x4(a + at, e);
        for (int32_t c = 0; c < 4; c++) {
            total += e[c];
        }
    }
    for (; at < seen; at++) {
        a[at] = tte_exp(a[at] - max);
        total += a[at];
    }
    return total;
}

/** y[r] = sum of a[r] * v over `seen` positions in order, for 4 * `parts` elements of `rows` rows. */
TTE_INLINE void tte_attention_sums(const tte_attention_f32_params *p, int32_t rows, int32_t parts,
                                   const float *restrict a, int32_t seen, const float *restrict v, int32_t width,
                                   float *restrict y)
{
    tte_f32x4 sums[TTE_ATTENTION_ROWS] = {{0.0f}};
    int32_t at = 0;
    for (; at + 4 <= seen; at += 4, v += 4 * width) {
        for (int32_t r = 0; r < rows; r++) {
            const tte_f32x4 e = tte_load_f32x4(a + r * p->s + at);
            for (int32_t c = 0; c < 4; c++) {
                for (int32_t i = 0; i < parts; i++) {
                    sums[r * parts + i] += e[c] * tte_load_f32x4(v + c * width + 4 * i);
                }
            }
        }
    }
    for (; at < seen; at++, v += width) {
        for (int32_t r = 0; r < rows; r++) {
            for (int32_t i = 0; i < parts; i++) {
                sums[r * parts + i] += a[r * p->s + at] * tte_load_f32x4(v + 4 * i);
            }
        }
    }
    for (int32_t r = 0; r < rows; r++) {
        for (int32_t i = 0; i < parts; i++) {
            tte_store_f32x4(y + r * p->kv_heads * p->group * p->depth + 4 * i, sums[r * parts + i]);
        }
    }
}

/** One row's last step: y, the sums over the first `shared` positions, goes on to all `seen`, and becomes the mean. */
TTE_INLINE void tte_attention_mean(const tte_attention_f32_params *p, const float *restrict a, float total,
                                   int32_t shared, int32_t seen, const float *restrict v, int32_t width,
                                   float *restrict y)
{
    for (int32_t j = 0; j < p->depth; j += 4) {
        tte_f32x4 sum = tte_load_f32x4(y + j);
        for (int32_t at = shared; at < seen; at++) {
            sum += a[at] * tte_load_f32x4(v + at * width + j);
        }
        tte_store_f32x4(y + j, sum / total);
    }
}

/** As tte_attention_f32 for `rows` rows from i on and one head, of which q, k, v and y are the beginnings. */
TTE_INLINE void tte_attention_head(const tte_attention_f32_params *p, int32_t rows, int32_t i, const float *q,
                                   const float *restrict k, const float *restrict v, int32_t width,
                                   const int32_t *restrict span, float *y, float *restrict a)
{
    const int32_t pitch = p->kv_heads * p->group * p->depth;
    const int32_t shared = tte_position(span, p->row + i, p->s) + 1, fours = shared / 4 * 4;
    float totals[TTE_ATTENTION_ROWS];
    for (int32_t at = 0; at < fours; at += 4) {
        tte_attention_four(p, rows, q, k + at * width, width, a + at);
    }
    for (int32_t r = 0; r < rows; r++) {
        const int32_t seen = tte_position(span, p->row + i + r, p->s) + 1;
        tte_attention_scores(p, q + r * pitch, k + fours * width, width, seen - fours, a + r * p->s + fours);
        totals[r] = tte_attention_powers(a + r * p->s, seen);
    }
    int32_t j = 0;
    for (; rows == 1 && j + 16 <= p->depth; j += 16) { /* sums of one row alone would wait for each other */
        tte_attention_sums(p, 1, 4, a, shared, v + j, width, y + j);
    }
    for (; rows == 1 && j + 8 <= p->depth; j += 8) {
        tte_attention_sums(p, 1, 2, a, shared, v + j, width, y + j);
    }
    for (; j < p->depth; j += 4) {
        tte_attention_sums(p, rows, 1, a, shared, v + j, width, y + j);
    }
    for (int32_t r = 0; r < rows; r++) {
        const int32_t seen = tte_position(span, p->row + i + r, p->s) + 1;
        tte_attention_mean(p, a + r * p->s, totals[r], shared, seen, v, width, y + r * pitch);
    }
}

/** As tte_attention_f32 for all rows of one head, of which q, k, v and y are the beginnings. */
TTE_INLINE void tte_attention_rows(const tte_attention_f32_params *p, const float *q, const float *restrict k,
                                   const float *restrict v, int32_t width, const int32_t *restrict span, float *y,
                                   float *restrict a)
{
    const int32_t pitch = p->kv_heads * p->group * p->depth;
    int32_t i = 0;
    for (; i + TTE_ATTENTION_ROWS <= p->n; i += TTE_ATTENTION_ROWS) {
        tte_attention_head(p, TTE_ATTENTION_ROWS, i, q + i * pitch, k, v, width, span, y + i * pitch, a);
    }
    for (; i < p->n; i++) {
        tte_attention_head(p, 1, i, q + i * pitch, k, v, width, span, y + i * pitch, a);
    }
}

/** As tte_attention_f32, with its bits, where depth is a multiple of four. Scratch: TTE_ATTENTION_ROWS * s floats. */
TTE_KERNEL tte_attention_f32_simd(const tte_attention_f32_params *p, const float *q, const float *restrict k,
                                  const float *restrict v, const int32_t *restrict span, float *y,
                                  int8_t *restrict scratch)
{
    for (int32_t h = 0; h < p->kv_heads * p->group; h++) {
        const int32_t own = h * p->depth, first = h / p->group * p->depth;
        tte_attention_rows(p, q + own, k + first, v + first, p->width, span, y + own, (float *)(void *)scratch);
    }
}

#endif
