/** @file resize_nearest.h  A map of another size, each pixel a copy of one of the input. */
#ifndef TTE_RESIZE_NEAREST_H
#define TTE_RESIZE_NEAREST_H

#include "tte/tte.h"

typedef struct {
    int32_t w, c;   /* width and channels of x */
    int32_t oh, ow; /* size of y */
} tte_resize_nearest_s8_params;
typedef tte_resize_nearest_s8_params tte_resize_nearest_f32_params;

/** y[oh,ow,c] = x[rows[oh], columns[ow], c]. */
TTE_KERNEL tte_resize_nearest_s8(const tte_resize_nearest_s8_params *p, const int8_t *restrict x,
                                 const int32_t *restrict rows, const int32_t *restrict columns, int8_t *restrict y)
{
    for (int32_t i = 0; i < p->oh; i++) {
        for (int32_t j = 0; j < p->ow; j++) {
            const int8_t *from = x + (rows[i] * p->w + columns[j]) * p->c;
            for (int32_t k = 0; k < p->c; k++) {
                *y++ = from[k];
            }
        }
    }
}

/** y[oh,ow,c] = x[rows[oh], columns[ow], c]. */
TTE_KERNEL tte_resize_nearest_f32(const tte_resize_nearest_f32_params *p, const float *restrict x,
                                  const int32_t *restrict rows, const int32_t *restrict columns, float *restrict y)
{
    for (int32_t i = 0; i < p->oh; i++) {
        for (int32_t j = 0; j < p->ow; j++) {
            const float *from = x + (rows[i] * p->w + columns[j]) * p->c;
            for (int32_t k = 0; k < p->c; k++) {
                *y++ = from[k];
            }
        }
    }
}

#endif
