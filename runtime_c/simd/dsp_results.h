/** @file simd/dsp_results.h  From sums to results for Arm's DSP extension, with what training adds: biases, masks. */
#ifndef TTE_SIMD_DSP_RESULTS_H
#define TTE_SIMD_DSP_RESULTS_H

#include "tte/simd/dsp.h"
#include "tte/simd/dsp_product.h"

/**
 * What training adds to a layer: biases by channel that q doesn't hold, as they change, and the mask of the clamp with the
 * number of its first element. Both may be NULL.
 */
typedef struct { const int32_t *b; uint8_t *mask; int32_t at; } tte_dsp_live;

/** A layer that has nothing of that. */
#define TTE_DSP_FIXED (&(const tte_dsp_live){NULL, NULL, 0})

/** A bias: what a sum begins with, and what is left to add in 64 bits, 0 unless the sum may not fit 32. */
typedef struct { int32_t start, left; } tte_dsp_bias;

/** The bias of channel j; sums of products stay below 2^30. */
TTE_INLINE tte_dsp_bias tte_dsp_bias_of(const tte_dsp_live *live, int32_t j, const int32_t *q)
{
    if (!live->b) {
        return (tte_dsp_bias){q[0], 0};
    }
    const int32_t b = live->b[j], fits = b >= -(1 << 30) && b <= 1 << 30;
    return (tte_dsp_bias){fits ? q[0] + b : q[0], fits ? 0 : b};
}

/** Result i for a sum, with its bias, that may need more than 32 bits; few channels have such biases. */
TTE_RARE int8_t tte_dsp_result_wide(tte_dsp_out o, int64_t acc, const int32_t *q, uint8_t *mask, int32_t i)
{
    const int32_t shift = o.rounding == TTE_ONNX ? 0 : o.small ? q[3] + 1 : q[2];
    const int32_t fitting = (int32_t)(acc < INT32_MIN ? INT32_MIN : acc > INT32_MAX ? INT32_MAX : acc);
    const int32_t y = o.rounding == TTE_TFLITE ? tte_dsp_unclamped(&o, fitting, q) /* which saturates, too */
                                               : tte_dsp_qadd(tte_finish(o.rounding, acc, q[1], shift), o.zero);
    return tte_dsp_clamp(y, o.lo, o.hi, mask, i);
}

/** Result i for a sum, to which the channel's bias adds `left`. */
TTE_INLINE int8_t tte_dsp_result(const tte_dsp_out *o, int32_t sum, const int32_t *q, const tte_dsp_live *live, int32_t left,
                                 int32_t i)
{
    if (left != 0) {
        return tte_dsp_result_wide(*o, (int64_t)sum + left, q, live->mask, live->at + i);
    }
    return live->mask ? tte_dsp_clamp(tte_dsp_unclamped(o, sum, q), o->lo, o->hi, live->mask, live->at + i)
                      : tte_dsp_finish(o, sum, q);
}

/** A channel of n <= 4 pixels, results i on, which lie co apart; see tte_dsp_result. */
TTE_INLINE void tte_dsp_four(const tte_dsp_out *o, tte_dsp_sums4 s, const int32_t *q, const tte_dsp_live *live,
                             int32_t left, int8_t *y, int32_t n, int32_t co, int32_t i)
{
    const int8_t first = tte_dsp_result(o, s.a, q, live, left, i);
    const int8_t second = n > 1 ? tte_dsp_result(o, s.b, q, live, left, i + co) : 0;
    const int8_t third = n > 2 ? tte_dsp_result(o, s.c, q, live, left, i + 2 * co) : 0;
    const int8_t fourth = n > 3 ? tte_dsp_result(o, s.d, q, live, left, i + 3 * co) : 0;
    y[0] = first;
    if (n > 1) {
        y[co] = second;
    }
    if (n > 2) {
        y[2 * co] = third;
    }
    if (n > 3) {
        y[3 * co] = fourth;
    }
}

/** The same for a bias that leaves something to add, as hardly any does. */
TTE_RARE void tte_dsp_four_wide(tte_dsp_out o, tte_dsp_sums4 s, const int32_t *q, tte_dsp_live live, int32_t left,
                                int8_t *y, int32_t n, int32_t co, int32_t i)
{
    const int32_t sums[4] = {s.a, s.b, s.c, s.d};
    for (int32_t l = 0; l < n; l++) {
        y[l * co] = tte_dsp_result_wide(o, (int64_t)sums[l] + left, q, live.mask, live.at + i + l * co);
    }
}

/** The same for any bias. */
TTE_INLINE void tte_dsp_channel(const tte_dsp_out *o, tte_dsp_sums4 s, const int32_t *q, const tte_dsp_live *live,
                                int32_t left, int8_t *y, int32_t n, int32_t co, int32_t i)
{
    if (left == 0) {
        tte_dsp_four(o, s, q, live, 0, y, n, co, i);
    } else {
        tte_dsp_four_wide(*o, s, q, *live, left, y, n, co, i);
    }
}

#endif
