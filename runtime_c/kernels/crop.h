/** @file crop.h  A part of a tensor. */
#ifndef TTE_CROP_H
#define TTE_CROP_H

#include "tte/tte.h"

typedef struct {
    int32_t n0, n1, n2, n3; /* extents of y */
    int32_t s0, s1, s2, s3; /* strides of x */
    int32_t first;          /* element of x */
} tte_crop_f32_params;

/** y[i,j,k,l] = x[first + i * s0 + j * s1 + k * s2 + l * s3]. */
TTE_KERNEL tte_crop_f32(const tte_crop_f32_params *p, const float *restrict x, float *restrict y)
{
    for (int32_t i = 0; i < p->n0; i++) {
        for (int32_t j = 0; j < p->n1; j++) {
            for (int32_t k = 0; k < p->n2; k++) {
                for (int32_t l = 0; l < p->n3; l++) {
                    *y++ = x[p->first + i * p->s0 + j * p->s1 + k * p->s2 + l * p->s3];
                }
            }
        }
    }
}

#endif
