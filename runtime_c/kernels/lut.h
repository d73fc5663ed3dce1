/** @file lut.h  One table for every byte: activations and requantisation in s8. y may lie on x. */
#ifndef TTE_LUT_H
#define TTE_LUT_H

#include "tte/tte_bits.h"

typedef struct { int32_t size; } tte_lut_s8_params;
typedef tte_lut_s8_params tte_lut_u8_s8_params;
typedef tte_lut_s8_params tte_lut_s8_u8_params;
typedef tte_lut_s8_params tte_lut_masked_s8_params;

/** y = table[the byte of x]. */
TTE_KERNEL tte_lut_s8(const tte_lut_s8_params *p, const int8_t *x, const int8_t *restrict table, int8_t *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = table[(uint8_t)x[i]];
    }
}

/** y = table[x]. */
TTE_KERNEL tte_lut_u8_s8(const tte_lut_s8_params *p, const uint8_t *x, const int8_t *restrict table, int8_t *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = table[x[i]];
    }
}

/** y = table[the byte of x]. */
TTE_KERNEL tte_lut_s8_u8(const tte_lut_s8_params *p, const int8_t *x, const uint8_t *restrict table, uint8_t *y)
{
    for (int32_t i = 0; i < p->size; i++) {
        y[i] = table[(uint8_t)x[i]];
    }
}

/** As tte_lut_s8; element i of `mask` is inside[the byte of x[i]], 0 or 1. */
TTE_KERNEL tte_lut_masked_s8(const tte_lut_s8_params *p, const int8_t *x, const int8_t *restrict table,
                             const int8_t *restrict inside, int8_t *y, uint8_t *restrict mask)
{
    tte_set_bits(mask, 0, p->size);
    for (int32_t i = 0; i < p->size; i++) {
        const uint8_t byte = (uint8_t)x[i];
        y[i] = table[byte];
        if (!inside[byte]) {
            tte_clear_bit(mask, i);
        }
    }
}

#endif
