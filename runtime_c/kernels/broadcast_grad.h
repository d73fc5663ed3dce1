/** @file broadcast_grad.h  The gradient of an operand that was repeated, or multiplied. */
#ifndef TTE_BROADCAST_GRAD_H
#define TTE_BROADCAST_GRAD_H

#include "tte/tte.h"

typedef struct {
    int32_t n0, n1, n2, n3; /* extents of g */
    int32_t y0, y1, y2, y3; /* strides of y, 0 where it was repeated */
    int32_t b0, b1, b2, b3; /* strides of by, likewise */
    int32_t size;           /* elements of y */
    float factor, scale;    /* of y; of the integers of by */
    int32_t zero;
} tte_broadcast_grad_params;

/** Element i of by, which is 1 where there is none. */
TTE_INLINE float tte_broadcast_by(const tte_broadcast_grad_params *p, const void *by, int32_t s8, int32_t i)
{
    return by == NULL ? 1.0f
           : s8       ? (float)(((const int8_t *)by)[i] - p->zero) * p->scale
                      : ((const float *)by)[i];
}

TTE_INLINE void tte_broadcast_grad(const tte_broadcast_grad_params *p, const float *restrict g, const void *by,
                                   int32_t s8, float *restrict y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = 0.0f;
    }
    for (int32_t i = 0; i < p->n0; i++) {
        for (int32_t j = 0; j < p->n1; j++) {
            for (int32_t k = 0; k < p->n2; k++) {
                for (int32_t l = 0; l < p->n3; l++) {
                    const int32_t from = i * p->b0 + j * p->b1 + k * p->b2 + l * p->b3;
                    y[i * p->y0 + j * p->y1 + k * p->y2 + l * p->y3] += *g++ * tte_broadcast_by(p, by, s8, from);
                }
            }
        }
    }
    for (int32_t i = 0; i < p->size; i++) {
        y[i] *= p->factor;
    }
}

/** y = factor * sum of g[i,j,k,l] * by[i,j,k,l] over the axes where y has stride 0; a `by` that is NULL is 1. */
TTE_KERNEL tte_broadcast_grad_f32(const tte_broadcast_grad_params *p, const float *restrict g,
                                  const float *restrict by, float *restrict y)
{
    tte_broadcast_grad(p, g, by, 0, y);
}

/** As tte_broadcast_grad_f32, by (by - zero) * scale. */
TTE_KERNEL tte_broadcast_grad_s8(const tte_broadcast_grad_params *p, const float *restrict g,
                                 const int8_t *restrict by, float *restrict y)
{
    tte_broadcast_grad(p, g, by, 1, y);
}

#endif
