/** @file concat.h  Tensors one behind the other along an axis. */
#ifndef TTE_CONCAT_H
#define TTE_CONCAT_H

#include "tte/tte.h"

typedef struct {
    int32_t count; /* of inputs */
    int32_t outer; /* product of the extents before the axis */
} tte_concat_s8_params;
typedef tte_concat_s8_params tte_concat_f32_params;

/** y[outer, sum of inner] = x[0][outer, inner[0]], x[1][outer, inner[1]], ... */
TTE_KERNEL tte_concat_s8(const tte_concat_s8_params *p, const void *const *x, const int32_t *restrict inner,
                         int8_t *restrict y)
{
    for (int32_t i = 0; i < p->outer; i++) {
        for (int32_t j = 0; j < p->count; j++) {
            const int8_t *from = (const int8_t *)x[j] + (ptrdiff_t)i * inner[j];
            for (int32_t k = 0; k < inner[j]; k++) {
                *y++ = from[k];
            }
        }
    }
}

/** y[outer, sum of inner] = x[0][outer, inner[0]], x[1][outer, inner[1]], ... */
TTE_KERNEL tte_concat_f32(const tte_concat_f32_params *p, const void *const *x, const int32_t *restrict inner,
                          float *restrict y)
{
    for (int32_t i = 0; i < p->outer; i++) {
        for (int32_t j = 0; j < p->count; j++) {
            const float *from = (const float *)x[j] + (ptrdiff_t)i * inner[j];
            for (int32_t k = 0; k < inner[j]; k++) {
                *y++ = from[k];
            }
        }
    }
}

#endif
