/** @file softmax_mve.h  Softmax along rows in s8 on Helium, in LiteRT's fixed point. */
#ifndef TTE_SOFTMAX_MVE_H
#define TTE_SOFTMAX_MVE_H

#include "tte/kernels/softmax.h"
#include "tte/simd/mve.h"

/** The table's entries for four elements at x; zero for absent lanes. */
TTE_INLINE int32x4_t tte_softmax_mve_exp(const int8_t *x, const int32_t *table, int32_t max, mve_pred16_t lanes)
{
    const int32x4_t distance = vsubq_s32(vdupq_n_s32(max), vldrbq_z_s32(x, lanes));
    return vldrwq_gather_shifted_offset_z_s32(table, vreinterpretq_u32_s32(distance), lanes);
}

/** As tte_softmax_s8. */
TTE_KERNEL tte_softmax_s8_mve(const tte_softmax_s8_params *p, const int8_t *restrict x, const int32_t *restrict table,
                              int8_t *restrict y)
{
    for (int32_t row = 0; row < p->rows; row++, x += p->depth, y += p->depth) {
        int32_t max = -128, total = 0, bits;
        for (int32_t i = 0; i < p->depth; i += 16) {
            const mve_pred16_t lanes = vctp8q((uint32_t)(p->depth - i));
            max = vmaxvq_p_s8((int8_t)max, vldrbq_z_s8(x + i, lanes), lanes);
        }
        for (int32_t i = 0; i < p->depth; i += 4) {
            const mve_pred16_t lanes = vctp32q((uint32_t)(p->depth - i));
            total = vaddvaq_s32(total, vrshrq_n_s32(tte_softmax_mve_exp(x + i, table, max, lanes), 12));
        }
        const int32_t r = tte_reciprocal(total, &bits);
        for (int32_t i = 0; i < p->depth; i += 4) {
            const mve_pred16_t lanes = vctp32q((uint32_t)(p->depth - i));
            const int32x4_t e = vqrdmulhq_n_s32(tte_softmax_mve_exp(x + i, table, max, lanes), r);
            const int32x4_t q = vsubq_n_s32(vrshlq_n_s32(e, -(bits + 23)), 128);
            vstrbq_p_s32(y + i, vminq_s32(q, vdupq_n_s32(127)), lanes);
        }
    }
}

#endif
