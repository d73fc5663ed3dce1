/** @file activation_grad.h  Gradients of functions of one number. */
#ifndef TTE_ACTIVATION_GRAD_H
#define TTE_ACTIVATION_GRAD_H

#include "tte/tte.h"

typedef struct {
    int32_t pixels, channels;           /* of y */
    int32_t g_pitch, of_pitch, y_pitch; /* elements from one pixel to the next */
} tte_activation_grad_params;

typedef struct {
    int32_t pixels, channels, g_pitch, of_pitch, y_pitch;
    float alpha;
} tte_leaky_relu_grad_params;

/** y[i,j] = g[i,j] * slope for all pixels i and channels j; the slope is an expression of v = of[i,j]. */
#define TTE_SLOPES(p, of, slope)                                                 \
    do {                                                                         \
        for (int32_t i = 0; i < (p)->pixels; i++) {                              \
            for (int32_t j = 0; j < (p)->channels; j++) {                        \
                const float v = (of)[i * (p)->of_pitch + j];                     \
                y[i * (p)->y_pitch + j] = g[i * (p)->g_pitch + j] * (slope);     \
            }                                                                    \
        }                                                                        \
        (void)c;                                                                 \
    } while (0)

/** y = g * of * (1 - of), with `of` the sigmoid's result. y may be g or `of`. */
TTE_KERNEL tte_sigmoid_grad(const tte_activation_grad_params *p, const float *g, const float *of, float *y, int32_t c)
{
    TTE_SLOPES(p, of, v * (1.0f - v));
}

/** y = g * (1 - of^2), with `of` the tanh's result. y may be g or `of`. */
TTE_KERNEL tte_tanh_grad(const tte_activation_grad_params *p, const float *g, const float *of, float *y, int32_t c)
{
    TTE_SLOPES(p, of, 1.0f - v * v);
}

/** y = g * the slope of hard swish at its argument `of`. y may be g or `of`. */
TTE_KERNEL tte_hard_swish_grad(const tte_activation_grad_params *p, const float *g, const float *of, float *y,
                               int32_t c)
{
    TTE_SLOPES(p, of, v <= -3.0f ? 0.0f : v >= 3.0f ? 1.0f : (v + v + 3.0f) / 6.0f);
}

/** y = g where of > 0, else g * alpha. y may be g or `of`. */
TTE_KERNEL tte_leaky_relu_grad(const tte_leaky_relu_grad_params *p, const float *g, const float *of, float *y,
                               int32_t c)
{
    TTE_SLOPES(p, of, v > 0.0f ? 1.0f : p->alpha);
}

/** y = g * table[of as a byte]. y may be g. */
TTE_KERNEL tte_lut_grad(const tte_activation_grad_params *p, const float *g, const int8_t *of,
                        const float *restrict table, float *y, int32_t c)
{
    (void)c;
    for (int32_t i = 0; i < p->pixels; i++) {
        for (int32_t j = 0; j < p->channels; j++) {
            y[i * p->y_pitch + j] = g[i * p->g_pitch + j] * table[(uint8_t)of[i * p->of_pitch + j]];
        }
    }
}

#endif
