/** @file rounded_grad_x_dsp.h  The gradient of a convolution's input in integers, for Arm's DSP extension. */
#ifndef TTE_ROUNDED_GRAD_X_DSP_H
#define TTE_ROUNDED_GRAD_X_DSP_H

#include "tte/kernels/rounded_grad_x.h"
#include "tte/simd/dsp_grad.h"
#include "tte/tte.h"

enum { TTE_TAKEN_CHANNELS = 48 }; /* whose weights are in scratch at a time where four channels of g are taken */

/** Element i of a tensor of s8 or s16. */
TTE_INLINE const void *tte_dsp_from(const void *g, int32_t s8, int32_t i)
{
    return (const int8_t *)g + (s8 ? i : 2 * i);
}

/** Weights: as they come, in one tensor or (rest not NULL) in two; or (`paired`) in one, as tte/layouts/pairs.py lays them. */
typedef struct {
    const int8_t *w, *rest;
    int32_t paired;
} tte_dsp_filters;

/** Channels i to i + 4 of x, i % 4 == 0, of filter o, 1x1. */
TTE_INLINE int32_t tte_dsp_filter_word(const tte_rounded_grad_x_params *p, tte_dsp_filters f, int32_t o, int32_t i)
{
    uint32_t word = 0;
    if (p->k % 4 == 0 || i + 4 <= p->k || i >= p->k) {
        const tte_grad_matrix part = tte_grad_part(p, f.w, f.rest, i);
        return tte_dsp_load4(part.first + o * part.pitch);
    }
    for (int32_t l = 0; l < 4; l++) {
        const tte_grad_matrix part = tte_grad_part(p, f.w, f.rest, i + l);
        word |= (uint32_t)(uint8_t)part.first[o * part.pitch] << (8 * l);
    }
    return (int32_t)word;
}

/** to[8] = the weights of filters o to o + 4 for channels i to i + 4 of x, 1x1, as tte_dsp_four_columns wants them. */
TTE_INLINE void tte_dsp_grad_block(const tte_rounded_grad_x_params *p, tte_dsp_filters f, int32_t s8, int32_t o,
                                   int32_t i, int32_t *restrict to)
{
    if (f.paired) {
        const int8_t *const a = f.w + o * p->k + 2 * i, *const b = a + 2 * p->k;
        tte_dsp_across_pairs(tte_dsp_load4(a), tte_dsp_load4(b), s8, to);
        tte_dsp_across_pairs(tte_dsp_load4(a + 4), tte_dsp_load4(b + 4), s8, to + 1);
    } else {
        const int32_t v0 = tte_dsp_filter_word(p, f, o, i), v1 = tte_dsp_filter_word(p, f, o + 1, i);
        const int32_t v2 = tte_dsp_filter_word(p, f, o + 2, i), v3 = tte_dsp_filter_word(p, f, o + 3, i);
        tte_dsp_across(v0, s8 ? v2 : v1, to);
        tte_dsp_across(s8 ? v1 : v2, v3, to + 4);
    }
}

/** Channels j < c of y, by fours, from all of g, whose channels share one step. `column` is what channel 0 of y is in x. */
TTE_INLINE void tte_dsp_make(const tte_rounded_grad_x_params *p, const void *g, int32_t s8, float step,
                             tte_dsp_filters f, float *y, int32_t column, int32_t begin, int32_t *words)
{
    for (int32_t j = 0; j + 4 <= p->c; j += 4) {
        for (int32_t o = 0; o < p->co; o += 4) {
            tte_dsp_grad_block(p, f, s8, o, column + j, words + 2 * o);
        }
        for (int32_t i = 0; i < p->h * p->w; i++) {
            float *to = y + i * p->y_pitch + j;
            const tte_sums4 s = tte_dsp_four_columns(tte_dsp_from(g, s8, i * p->g_pitch), s8, words, p->co);
            tte_store4(to, tte_add4(begin ? tte_all4(0.0f) : tte_load4(to), step, tte_floats_of(s)));
        }
    }
}

/** Four channels of g, which share one step, added to all channels of y, by fours. */
TTE_INLINE void tte_dsp_take(const tte_rounded_grad_x_params *p, const void *g, int32_t s8, float step,
                             tte_dsp_filters f, int32_t o, float *y, int32_t begin, int32_t *words)
{
    const int32_t whole = p->c / 4 * 4;
    for (int32_t first = 0; first < whole; first += TTE_TAKEN_CHANNELS) {
        const int32_t n = tte_min_s32(whole - first, TTE_TAKEN_CHANNELS);
        for (int32_t j = 0; j < n; j += 4) {
            tte_dsp_grad_block(p, f, s8, o, first + j, words + 2 * j);
        }
        for (int32_t i = 0; i < p->h * p->w; i++) {
            tte_dsp_spread(tte_dsp_from(g, s8, i * p->g_pitch + o), s8, words, n, step, begin,
                           y + i * p->y_pitch + first);
        }
    }
}

/** Channels of y past the last four. */
TTE_INLINE void tte_dsp_ends(const tte_rounded_grad_x_params *p, const void *g, int32_t s8, const float *step,
                             tte_dsp_filters f, float *y, int32_t column, int32_t begin)
{
    for (int32_t j = p->c / 4 * 4; j < p->c; j++) {
        const tte_grad_matrix part = tte_grad_part(p, f.w, f.rest, column + j);
        for (int32_t i = 0; i < p->h * p->w; i++) {
            float *to = y + i * p->y_pitch + j;
            *to = tte_rounded_pixel(p, g, s8, step, part, i / p->w, i % p->w, 1, tte_all4(begin ? 0.0f : *to)).a;
        }
    }
}

/** Every pixel from its own, where channels of g share steps by fours or all have one. */
TTE_INLINE void tte_dsp_pointwise_x(const tte_rounded_grad_x_params *p, const void *g, int32_t s8, const float *step,
                                    tte_dsp_filters f, float *y, int32_t *words, int32_t c)
{
    const int32_t some = p->c < p->channels, begin = some || c == 0;
    if (!some && p->group == 4) {
        for (int32_t o = 0; o < p->co; o += 4) {
            tte_dsp_take(p, g, s8, step[o], f, o, y, begin && o == 0, words);
        }
    } else {
        tte_dsp_make(p, g, s8, step[0], f, y, some ? c : 0, begin, words);
    }
    tte_dsp_ends(p, g, s8, step, f, y, some ? c : 0, begin);
}

/** Four channels of g with so many rows and columns of zeros before and after it that every tap finds some pixel. */
typedef struct { int32_t above, left, rows, columns; } tte_dsp_frame;

TTE_INLINE tte_dsp_frame tte_dsp_frame_of(const tte_rounded_grad_x_params *p)
{
    const int32_t above = (tte_max_s32(p->kh - 1 - p->top, 0) + p->stride_y - 1) / p->stride_y;
    const int32_t left = (tte_max_s32(p->kw - 1 - p->left, 0) + p->stride_x - 1) / p->stride_x;
    return (tte_dsp_frame){above, left, above + tte_max_s32(p->oh, (p->h - 1 + p->top) / p->stride_y + 1),
                           left + tte_max_s32(p->ow, (p->w - 1 + p->left) / p->stride_x + 1)};
}

/** to[rows,columns,2] = the frame of g, each pixel two words as tte_dsp_each has them. */
TTE_INLINE void tte_dsp_framed(const tte_rounded_grad_x_params *p, const void *g, int32_t s8, tte_dsp_frame f,
                               int32_t *restrict to)
{
    for (int32_t i = 0; i < 2 * f.rows * f.columns; i++) {
        to[i] = 0;
    }
    for (int32_t oy = 0; oy < p->oh; oy++) {
        int32_t *row = to + 2 * ((oy + f.above) * f.columns + f.left);
        for (int32_t ox = 0; ox < p->ow; ox++, row += 2) {
            const tte_dsp_two v = tte_dsp_halves(tte_dsp_from(g, s8, (oy * p->ow + ox) * p->g_pitch), s8);
            row[0] = v.a;
            row[1] = v.b;
        }
    }
}

/** Pixel (iy, ix) of four channels: w has two words for each tap. */
TTE_INLINE tte_sums4 tte_dsp_brought(const tte_rounded_grad_x_params *p, const int32_t *g, tte_dsp_frame f,
                                     const int32_t *w, int32_t iy, int32_t ix)
{
    const int32_t up = iy + p->top, along = ix + p->left;
    const int32_t *from = g + 2 * ((up / p->stride_y + f.above) * f.columns + along / p->stride_x + f.left);
    tte_sums4 s = {0, 0, 0, 0};
    for (int32_t ky = up % p->stride_y; ky < p->kh; ky += p->stride_y, from -= 2 * f.columns) {
        const int32_t *at = from;
        for (int32_t kx = along % p->stride_x; kx < p->kw; kx += p->stride_x, at -= 2) {
            s = tte_dsp_each(at, w + 2 * (ky * p->kw + kx), s);
        }
    }
    return s;
}

/** One filter per channel, without dilation, four channels at a time. */
TTE_INLINE void tte_dsp_depthwise_x(const tte_rounded_grad_x_params *p, const void *g, int32_t s8, const float *step,
                                    const int8_t *w, const int8_t *rest, float *y, int32_t *words, int32_t c)
{
    const tte_dsp_frame f = tte_dsp_frame_of(p);
    const int32_t taps = p->kh * p->kw;
    for (int32_t j = 0; j < p->c; j += 4) {
        const int8_t *filters[4];
        for (int32_t l = 0; l < 4; l++) {
            filters[l] = tte_grad_filter(p, w, rest, c, j + l);
        }
        for (int32_t t = 0; t < taps; t++) {
            const int32_t v0 = filters[0][t], v1 = filters[1][t], v2 = filters[2][t], v3 = filters[3][t];
            words[2 * t] = tte_dsp_pair(v0, s8 ? v2 : v1);
            words[2 * t + 1] = tte_dsp_pair(s8 ? v1 : v2, v3);
        }
        tte_dsp_framed(p, tte_dsp_from(g, s8, j), s8, f, words + 2 * taps);
        const tte_floats4 by = tte_load4(step + j);
        float *to = y + j;
        for (int32_t iy = 0; iy < p->h; iy++) {
            for (int32_t ix = 0; ix < p->w; ix++, to += p->y_pitch) {
                const tte_sums4 s = tte_dsp_brought(p, words + 2 * taps, f, words, iy, ix);
                const tte_sums4 n = s8 ? (tte_sums4){s.a, s.c, s.b, s.d} : s;
                tte_store4(to, tte_times4(tte_floats_of(n), by));
            }
        }
    }
}

TTE_INLINE void tte_dsp_rounded_x(const tte_rounded_grad_x_params *p, const void *g, int32_t s8, const float *step,
                                  const int8_t *w, const int8_t *rest, float *y, int8_t *scratch, int32_t c)
{
    int32_t *const words = (int32_t *)(void *)scratch;
    if (p->depthwise) {
        tte_dsp_depthwise_x(p, g, s8, step, w, rest, y, words, c);
    } else {
        tte_dsp_pointwise_x(p, g, s8, step, (tte_dsp_filters){w, rest, 0}, y, words, c);
    }
}

/**
 * As tte_rounded_grad_x_s8, depthwise without dilation for channels by fours, or pointwise where channels of g share
 * steps by fours, or co % 4 == 0 channels all have one. Scratch, words: two for each tap and each pixel of the frame; or two for
 * each of co channels, or of TTE_TAKEN_CHANNELS if that is more.
 */
TTE_KERNEL tte_rounded_grad_x_s8_dsp(const tte_rounded_grad_x_params *p, const int8_t *restrict g,
                                     const float *restrict step, const int8_t *restrict w,
                                     const int8_t *restrict rest, float *restrict y, int8_t *restrict scratch,
                                     int32_t c)
{
    tte_dsp_rounded_x(p, g, 1, step, w, rest, y, scratch, c);
}

/** As tte_rounded_grad_x_s8_dsp. */
TTE_KERNEL tte_rounded_grad_x_s16_dsp(const tte_rounded_grad_x_params *p, const int16_t *restrict g,
                                      const float *restrict step, const int8_t *restrict w,
                                      const int8_t *restrict rest, float *restrict y, int8_t *restrict scratch,
                                      int32_t c)
{
    tte_dsp_rounded_x(p, g, 0, step, w, rest, y, scratch, c);
}

/** As tte_rounded_grad_x_s8_dsp, pointwise, of weights by pairs (tte/layouts/pairs.py), for channels of y by fours. */
TTE_KERNEL tte_rounded_grad_x_s8_pairs_dsp(const tte_rounded_grad_x_params *p, const int8_t *restrict g,
                                           const float *restrict step, const int8_t *restrict w, float *restrict y,
                                           int8_t *restrict scratch, int32_t c)
{
    tte_dsp_pointwise_x(p, g, 1, step, (tte_dsp_filters){w, NULL, 1}, y, (int32_t *)(void *)scratch, c);
}

/** As tte_rounded_grad_x_s8_pairs_dsp. */
TTE_KERNEL tte_rounded_grad_x_s16_pairs_dsp(const tte_rounded_grad_x_params *p, const int16_t *restrict g,
                                            const float *restrict step, const int8_t *restrict w, float *restrict y,
                                            int8_t *restrict scratch, int32_t c)
{
    tte_dsp_pointwise_x(p, g, 0, step, (tte_dsp_filters){w, NULL, 1}, y, (int32_t *)(void *)scratch, c);
}

#endif
