/** @file slice.h  The first channels of a map. */
#ifndef TTE_SLICE_H
#define TTE_SLICE_H

#include "tte/tte.h"

typedef struct {
    int32_t pixels, channels; /* of y */
    int32_t x_pitch;          /* channels of x */
} tte_slice_s8_params;
typedef tte_slice_s8_params tte_slice_f32_params;

/** y[i,j] = x[i,j] for j < channels. */
TTE_KERNEL tte_slice_s8(const tte_slice_s8_params *p, const int8_t *restrict x, int8_t *restrict y)
{
    for (int32_t i = 0; i < p->pixels; i++) {
        for (int32_t j = 0; j < p->channels; j++) {
            y[i * p->channels + j] = x[i * p->x_pitch + j];
        }
    }
}

/** y[i,j] = x[i,j] for j < channels. */
TTE_KERNEL tte_slice_f32(const tte_slice_f32_params *p, const float *restrict x, float *restrict y)
{
    for (int32_t i = 0; i < p->pixels; i++) {
        for (int32_t j = 0; j < p->channels; j++) {
            y[i * p->channels + j] = x[i * p->x_pitch + j];
        }
    }
}

#endif
