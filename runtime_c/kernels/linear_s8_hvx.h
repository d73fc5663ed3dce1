/** @file linear_s8_hvx.h  The fully connected layer in s8, on Hexagon's vectors. */
#ifndef TTE_LINEAR_S8_HVX_H
#define TTE_LINEAR_S8_HVX_H

#include "tte/kernels/linear_s8.h"
#include "tte/simd/hvx.h"

/** What a tile of the result, rows by n <= 32 channels, is made of, and where it is: rows of y lie `pitch` bytes apart. */
typedef struct {
    const HVX_Vector *x, *w, *q;
    int8_t *y;
    int32_t k, n, pitch;
} tte_linear_hvx_tile;

/** The tile in s8. `rows` is a constant. */
TTE_INLINE void tte_linear_hvx_finish(const tte_linear_s8_params *p, const tte_linear_hvx_tile *t, int32_t rows)
{
    const tte_hvx_finisher f = tte_hvx_finish_by(t->q + 1);
    HVX_Vector s[TTE_HVX_ROWS];
    tte_hvx_dots(s, t->q[0], t->x, t->w, t->k, rows);
    TTE_HVX_EACH (int32_t r = 0; r < TTE_HVX_ROWS; r++) {
        s[r] = tte_hvx_finish(s[r], &f, p->shift);
    }
    TTE_HVX_EACH (int32_t r = 0; r < rows; r++) {
        const HVX_Vector four = tte_hvx_narrow(s + r / 4 * 4, p->zero_y, p->lo, p->hi);
        tte_hvx_store(t->y + r * t->pitch, four, r % 4 * TTE_HVX_SUMS, t->n);
    }
}

/** The tile in f32. `rows` is a constant. */
TTE_INLINE void tte_linear_hvx_reals(const tte_linear_hvx_tile *t, int32_t rows)
{
    HVX_Vector s[TTE_HVX_ROWS];
    tte_hvx_dots(s, t->q[0], t->x, t->w, t->k, rows);
    TTE_HVX_EACH (int32_t r = 0; r < rows; r++) {
        s[r] = tte_hvx_real(s[r], t->q[1], t->q[2]);
    }
    TTE_HVX_EACH (int32_t r = 0; r < rows; r++) {
        tte_hvx_store(t->y + r * t->pitch, s[r], 0, t->n * (int32_t)sizeof(float));
    }
}

/** The tile as it is, in s32. `rows` is a constant. */
TTE_INLINE void tte_linear_hvx_sums(const tte_linear_hvx_tile *t, int32_t rows)
{
    HVX_Vector s[TTE_HVX_ROWS];
    tte_hvx_dots(s, t->q[0], t->x, t->w, t->k, rows);
    TTE_HVX_EACH (int32_t r = 0; r < rows; r++) {
        tte_hvx_store(t->y + r * t->pitch, s[r], 0, t->n * (int32_t)sizeof(int32_t));
    }
}

/** What a result is made of, in vectors per 32 channels: s32 has biases; f32 (and s8, with p) also how to scale. */
enum { TTE_LINEAR_HVX_SUMS = 1, TTE_LINEAR_HVX_SCALED = 3 };

/** In s8 if p is not NULL. `each` is a constant. */
TTE_INLINE void tte_linear_hvx_make(const tte_linear_s8_params *p, const tte_linear_hvx_tile *t, int32_t each,
                                    int32_t rows)
{
    if (each == TTE_LINEAR_HVX_SUMS) {
        tte_linear_hvx_sums(t, rows);
    } else if (p == NULL) {
        tte_linear_hvx_reals(t, rows);
    } else {
        tte_linear_hvx_finish(p, t, rows);
    }
}

/** 32 channels after the other, and of each all rows. */
TTE_INLINE void tte_linear_hvx(const tte_linear_s8_params *p, int32_t each, int32_t m, int32_t n, int32_t k,
                               const int8_t *x, const uint8_t *w, const int32_t *q, int8_t *y, int8_t *scratch)
{
    const int32_t size = p == NULL ? (int32_t)sizeof(float) : 1;
    HVX_Vector *const spare = tte_hvx_aligned(scratch);
    tte_hvx_pack(x, m, k, spare + 1, spare);
    tte_linear_hvx_tile t = {NULL, (const void *)w, (const void *)q, NULL, k, 0, n * size};
    for (int32_t c = 0; c < n; c += TTE_HVX_SUMS, t.w += (k + 3) / 4, t.q += each) {
        t.n = tte_min_s32(n - c, TTE_HVX_SUMS);
        t.y = y + c * size;
        t.x = spare + 1;
        for (int32_t tiles = m / TTE_HVX_ROWS; tiles > 0; tiles--) {
            tte_linear_hvx_make(p, &t, each, TTE_HVX_ROWS);
            t.y += TTE_HVX_ROWS * t.pitch;
            t.x += tte_hvx_packed(k);
        }
        if (m % TTE_HVX_ROWS) {
            tte_linear_hvx_make(p, &t, each, m % TTE_HVX_ROWS);
        }
    }
}

/** As tte_linear_s8, under TTE_SINGLE. w and q as tte/layouts/hvx.py lays them out, zero_x in the biases. */
TTE_KERNEL tte_linear_s8_hvx(const tte_linear_s8_params *p, const int8_t *restrict x, const uint8_t *restrict w,
                             const int32_t *restrict q, int8_t *restrict y, int8_t *restrict scratch)
{
    tte_linear_hvx(p, TTE_LINEAR_HVX_SCALED, p->m, p->n, p->k, x, w, q, y, scratch);
}

/** As tte_linear_s8_f32 without a clamp. w and q as tte/layouts/hvx.py lays them out, zero_x in the biases. */
TTE_KERNEL tte_linear_s8_f32_hvx(const tte_linear_s8_f32_params *p, const int8_t *restrict x, const uint8_t *restrict w,
                                 const int32_t *restrict q, float *restrict y, int8_t *restrict scratch)
{
    tte_linear_hvx(NULL, TTE_LINEAR_HVX_SCALED, p->m, p->n, p->k, x, w, q, (int8_t *)y, scratch);
}

/** As tte_linear_s8_s32. w and q as tte/layouts/hvx.py lays them out, zero_x in the biases. */
TTE_KERNEL tte_linear_s8_s32_hvx(const tte_linear_s8_s32_params *p, const int8_t *restrict x, const uint8_t *restrict w,
                                 const int32_t *restrict q, int32_t *restrict y, int8_t *restrict scratch)
{
    tte_linear_hvx(NULL, TTE_LINEAR_HVX_SUMS, p->m, p->n, p->k, x, w, q, (int8_t *)y, scratch);
}

#endif
