/** @file resize_nearest_grad.h  The gradient of a map that was resized by the nearest neighbour. */
#ifndef TTE_RESIZE_NEAREST_GRAD_H
#define TTE_RESIZE_NEAREST_GRAD_H

#include "tte/tte.h"

typedef struct {
    int32_t h, w, c; /* y */
    int32_t oh, ow;  /* g */
} tte_resize_nearest_grad_params;

/** y = 0, then y[rows[i],columns[j],k] += g[i,j,k], in order of i, j. */
TTE_KERNEL tte_resize_nearest_grad(const tte_resize_nearest_grad_params *p, const float *restrict g,
                                   const int32_t *restrict rows, const int32_t *restrict columns, float *restrict y)
{
    for (int32_t i = 0; i < p->h * p->w * p->c; i++) {
        y[i] = 0.0f;
    }
    for (int32_t i = 0; i < p->oh; i++) {
        for (int32_t j = 0; j < p->ow; j++) {
            float *to = y + (rows[i] * p->w + columns[j]) * p->c;
            for (int32_t k = 0; k < p->c; k++) {
                to[k] += *g++;
            }
        }
    }
}

#endif
