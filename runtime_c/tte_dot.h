/** @file tte_dot.h  Sums of products in s8 for CPUs without vectors: four filters share what is read of x. */
#ifndef TTE_DOT_H
#define TTE_DOT_H

#include "tte/tte.h"

/** Sums of neighbouring channels. */
typedef struct { int32_t a, b, c, d; } tte_sums4;

/** Add k values at x, less zero_x, times those at w, of `n` filters (1 or 4) that lie `next` apart. */
TTE_INLINE tte_sums4 tte_dot_s8(tte_sums4 s, const int8_t *x, int32_t zero_x, const int8_t *w, int32_t k,
                                      int32_t n, int32_t next)
{
    for (int32_t l = 0; l < k; l++) {
        const int32_t v = x[l] - zero_x;
        s.a += v * w[l];
        if (n == 4) {
            s.b += v * w[next + l];
            s.c += v * w[2 * next + l];
            s.d += v * w[3 * next + l];
        }
    }
    return s;
}

#endif
