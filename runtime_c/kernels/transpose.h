/** @file transpose.h  Axes in another order. */
#ifndef TTE_TRANSPOSE_H
#define TTE_TRANSPOSE_H

#include "tte/tte.h"

typedef struct {
    int32_t n0, n1, n2, n3; /* extents of y */
    int32_t s0, s1, s2, s3; /* the stride in x of each axis of y, in elements */
} tte_transpose_s8_params;
typedef tte_transpose_s8_params tte_transpose_f32_params;

/** y[i,j,k,l] = x[i * s0 + j * s1 + k * s2 + l * s3]. */
TTE_KERNEL tte_transpose_s8(const tte_transpose_s8_params *p, const int8_t *restrict x, int8_t *restrict y)
{
    for (int32_t i = 0; i < p->n0; i++) {
        for (int32_t j = 0; j < p->n1; j++) {
            for (int32_t k = 0; k < p->n2; k++) {
                for (int32_t l = 0; l < p->n3; l++) {
                    *y++ = x[i * p->s0 + j * p->s1 + k * p->s2 + l * p->s3];
                }
            }
        }
    }
}

/** y[i,j,k,l] = x[i * s0 + j * s1 + k * s2 + l * s3]. */
TTE_KERNEL tte_transpose_f32(const tte_transpose_f32_params *p, const float *restrict x, float *restrict y)
{
    for (int32_t i = 0; i < p->n0; i++) {
        for (int32_t j = 0; j < p->n1; j++) {
            for (int32_t k = 0; k < p->n2; k++) {
                for (int32_t l = 0; l < p->n3; l++) {
                    *y++ = x[i * p->s0 + j * p->s1 + k * p->s2 + l * p->s3];
                }
            }
        }
    }
}

#endif
