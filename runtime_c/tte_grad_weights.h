/** @file tte_grad_weights.h  The weights that the gradient of a convolution's input reads, as floats. */
#ifndef TTE_GRAD_WEIGHTS_H
#define TTE_GRAD_WEIGHTS_H

#include "tte/tte.h"
#include "tte/tte_floats4.h"

typedef struct {
    int32_t h, w, c;          /* y, or the part of it that is made */
    int32_t oh, ow, co;       /* g, or the part of it that is taken */
    int32_t kh, kw;           /* filter */
    int32_t k, channels;      /* of x in w, and in all; if depthwise, filters in w, and in all */
    int32_t depthwise, pointwise;
    int32_t stride_y, stride_x, top, left, dilation_y, dilation_x;
    int32_t g_pitch, y_pitch; /* elements from one pixel to the next */
} tte_conv_grad_x_params;

/** How weights lie: as they come, or pointwise s8 as words {a0, b0, a1, b1} of two filters (tte/layouts/dsp.py: by_pairs). */
enum { TTE_WEIGHTS_F32, TTE_WEIGHTS_S8, TTE_WEIGHTS_PAIRS };

/** Weights in one tensor or (rest not NULL) in two. */
typedef struct {
    const void *w, *rest;
    int32_t s8; /* one of TTE_WEIGHTS_* */
} tte_grad_weights;

/** Where filter o begins in a pair of filters of k channels, a multiple of four; its channels 0 to 3 are at 0, 4, 2, 6. */
TTE_INLINE int32_t tte_grad_pair(int32_t o, int32_t k)
{
    return o / 2 * 2 * k + o % 2;
}

/** The weight of filter o at tap t for channel i of x. */
TTE_INLINE float tte_grad_weight(const tte_conv_grad_x_params *p, tte_grad_weights w, int32_t o, int32_t t, int32_t i)
{
    const int32_t row = o * p->kh * p->kw + t;
    if (w.s8 == TTE_WEIGHTS_PAIRS) {
        return tte_float_at(w.w, 1, tte_grad_pair(o, p->k) + i / 4 * 8 + i % 2 * 4 + i % 4 / 2 * 2);
    }
    return i < p->k ? tte_float_at(w.w, w.s8, row * p->k + i)
                    : tte_float_at(w.rest, w.s8, row * (p->channels - p->k) + i - p->k);
}

/** Where the weights for channels i to i + 4 of x lie: in one of two tensors, or (`mixed`) in both. */
typedef struct {
    const void *from;
    int32_t pitch, at, mixed;
} tte_grad_source;

TTE_INLINE tte_grad_source tte_grad_source_of(const tte_conv_grad_x_params *p, tte_grad_weights w, int32_t i)
{
    return i >= p->k ? (tte_grad_source){w.rest, p->channels - p->k, i - p->k, 0}
                     : (tte_grad_source){w.w, p->k, i, i + 4 > p->k};
}

/** The weights of filter o at tap t for channels i to i + 4 of x. */
TTE_INLINE tte_floats4 tte_grad_weight4(const tte_conv_grad_x_params *p, tte_grad_weights w, tte_grad_source source,
                                        int32_t o, int32_t t, int32_t i)
{
    const int32_t first = (o * p->kh * p->kw + t) * source.pitch + source.at;
    if (w.s8 == TTE_WEIGHTS_PAIRS && i % 4 == 0) {
        const int8_t *const four = (const int8_t *)w.w + tte_grad_pair(o, p->k) + 2 * i;
        return (tte_floats4){(float)four[0], (float)four[4], (float)four[2], (float)four[6]};
    }
    if (source.mixed) {
        return (tte_floats4){tte_grad_weight(p, w, o, t, i), tte_grad_weight(p, w, o, t, i + 1),
                             tte_grad_weight(p, w, o, t, i + 2), tte_grad_weight(p, w, o, t, i + 3)};
    }
    return (tte_floats4){tte_float_at(source.from, w.s8, first), tte_float_at(source.from, w.s8, first + 1),
                         tte_float_at(source.from, w.s8, first + 2), tte_float_at(source.from, w.s8, first + 3)};
}

/** to[rows,4] = the weights of filters first.. at tap t for channels i.. of x. */
TTE_INLINE void tte_grad_columns(const tte_conv_grad_x_params *p, tte_grad_weights w, int32_t first, int32_t rows,
                                 int32_t t, int32_t i, float *restrict to)
{
    const tte_grad_source source = tte_grad_source_of(p, w, i);
    for (int32_t o = 0; o < rows; o++) {
        tte_store4(to + 4 * o, tte_grad_weight4(p, w, source, first + o, t, i));
    }
}

/** to[kh,kw,n] = the filters of channels j.. of y, which begins at c. */
TTE_INLINE void tte_depthwise_filters(const tte_conv_grad_x_params *p, tte_grad_weights w, int32_t c, int32_t j,
                                      int32_t n, float *restrict to)
{
    const int32_t taps = p->kh * p->kw;
    for (int32_t l = 0; l < n; l++) {
        const int32_t filter = w.rest ? c + j + l : j + l, later = w.rest && filter >= p->k;
        const int32_t from = (later ? filter - p->k : filter) * taps;
        for (int32_t t = 0; t < taps; t++) {
            to[t * n + l] = tte_float_at(later ? w.rest : w.w, w.s8, from + t);
        }
    }
}

#endif
