/** @file pad.h  A border of one value. */
#ifndef TTE_PAD_H
#define TTE_PAD_H

#include "tte/tte.h"

typedef struct {
    int32_t n0, n1, n2, n3; /* extents of y */
    int32_t b0, b1, b2, b3; /* what lies before x along each axis */
    int32_t m0, m1, m2, m3; /* extents of x */
    int32_t value;
} tte_pad_s8_params;
typedef struct {
    int32_t n0, n1, n2, n3;
    int32_t b0, b1, b2, b3;
    int32_t m0, m1, m2, m3;
    float value;
} tte_pad_f32_params;

/** True if index i of y is inside x along an axis. */
TTE_INLINE int32_t tte_pad_inside(int32_t i, int32_t before, int32_t extent)
{
    return i >= before && i - before < extent;
}

/** y[i,j,k,l] = x[i - b0, j - b1, k - b2, l - b3] where that exists, else value. */
TTE_KERNEL tte_pad_s8(const tte_pad_s8_params *p, const int8_t *restrict x, int8_t *restrict y)
{
    for (int32_t i = 0; i < p->n0; i++) {
        for (int32_t j = 0; j < p->n1; j++) {
            for (int32_t k = 0; k < p->n2; k++) {
                const int32_t inside = tte_pad_inside(i, p->b0, p->m0) && tte_pad_inside(j, p->b1, p->m1)
                                       && tte_pad_inside(k, p->b2, p->m2);
                for (int32_t l = 0; l < p->n3; l++) {
                    *y++ = inside && tte_pad_inside(l, p->b3, p->m3) ? *x++ : (int8_t)p->value;
                }
            }
        }
    }
}

/** y[i,j,k,l] = x[i - b0, j - b1, k - b2, l - b3] where that exists, else value. */
TTE_KERNEL tte_pad_f32(const tte_pad_f32_params *p, const float *restrict x, float *restrict y)
{
    for (int32_t i = 0; i < p->n0; i++) {
        for (int32_t j = 0; j < p->n1; j++) {
            for (int32_t k = 0; k < p->n2; k++) {
                const int32_t inside = tte_pad_inside(i, p->b0, p->m0) && tte_pad_inside(j, p->b1, p->m1)
                                       && tte_pad_inside(k, p->b2, p->m2);
                for (int32_t l = 0; l < p->n3; l++) {
                    *y++ = inside && tte_pad_inside(l, p->b3, p->m3) ? *x++ : p->value;
                }
            }
        }
    }
}

#endif
