/**
 * @file simd/hvx.h  The inner loops for Hexagon's vectors of 128 bytes. Nothing is read or written outside a tensor.
 *
 * No floats in vectors. Pointers to vectors are aligned to them; tensors may lie anywhere.
 */
#ifndef TTE_SIMD_HVX_H
#define TTE_SIMD_HVX_H

#include "tte/tte.h"
#include "tte/tte_fixed.h"

#include <hexagon_protos.h>
#include <hexagon_types.h>
#include <hvx_hexagon_protos.h>

/** Bytes of a vector, its sums, and rows of x that are multiplied at once. */
enum { TTE_HVX_BYTES = 128, TTE_HVX_SUMS = 32, TTE_HVX_ROWS = 8 };

/** Before a loop over an array of vectors, which are kept in registers only if no index varies. */
#define TTE_HVX_EACH _Pragma("clang loop unroll(full)") for

/** The first vector at or after p. */
TTE_INLINE HVX_Vector *tte_hvx_aligned(int8_t *p)
{
    return (HVX_Vector *)(void *)(p + (-(uintptr_t)p & (TTE_HVX_BYTES - 1)));
}

/** The first n <= 128 bytes at x, zeros after them; `room` bytes may be read, if necessary one by one through `spare`. */
TTE_INLINE HVX_Vector tte_hvx_load(const int8_t *x, int32_t n, int32_t room, HVX_Vector *spare)
{
    HVX_Vector v;
    if (room >= TTE_HVX_BYTES) {
        __builtin_memcpy(&v, x, sizeof v);
    } else {
        for (int32_t i = 0; i < n; i++) {
            ((int8_t *)spare)[i] = x[i];
        }
        v = *spare;
    }
    return n < TTE_HVX_BYTES ? Q6_V_vand_QV(Q6_Q_vsetq_R(n), v) : v;
}

/** Store bytes at <= i < at + n of v to y; 0 < n. No branch, since clang would move what made v behind it. */
TTE_INLINE void tte_hvx_store(void *y, HVX_Vector v, int32_t at, int32_t n)
{
    const int32_t first = (int32_t)((uintptr_t)y & (TTE_HVX_BYTES - 1)), over = first + n - TTE_HVX_BYTES;
    HVX_Vector *const line = (HVX_Vector *)(void *)((int8_t *)y - first);
    const HVX_Vector turned = Q6_V_vror_VR(v, at - first);
    const HVX_VectorPred until = Q6_Q_vsetq2_R(TTE_HVX_BYTES + tte_min_s32(over, 0));
    Q6_vmem_QRIV(Q6_Q_and_QQn(until, Q6_Q_vsetq_R(first)), line, turned);
    Q6_vmem_QRIV(Q6_Q_vsetq_R(tte_max_s32(over, 0)), line + (over > 0), turned);
}

/** Words of two vectors in turn. */
TTE_INLINE HVX_VectorPair tte_hvx_zip(HVX_Vector even, HVX_Vector odd)
{
    return Q6_W_vshuff_VVR(odd, even, -4);
}

/** Eight rows of 32 words as 32 groups of eight words, one of each row. */
TTE_INLINE void tte_hvx_transpose(HVX_Vector *rows)
{
    HVX_VectorPair fours[4], twos[4];
    for (int32_t r = 0; r < 4; r++) {
        fours[r] = tte_hvx_zip(rows[r], rows[r + 4]);
    }
    for (int32_t r = 0; r < 2; r++) {
        twos[r] = tte_hvx_zip(Q6_V_lo_W(fours[r]), Q6_V_lo_W(fours[r + 2]));
        twos[r + 2] = tte_hvx_zip(Q6_V_hi_W(fours[r]), Q6_V_hi_W(fours[r + 2]));
    }
    for (int32_t half = 0; half < 2; half++) {
        const HVX_VectorPair low = tte_hvx_zip(Q6_V_lo_W(twos[2 * half]), Q6_V_lo_W(twos[2 * half + 1]));
        const HVX_VectorPair high = tte_hvx_zip(Q6_V_hi_W(twos[2 * half]), Q6_V_hi_W(twos[2 * half + 1]));
        rows[4 * half] = Q6_V_lo_W(low);
        rows[4 * half + 1] = Q6_V_hi_W(low);
        rows[4 * half + 2] = Q6_V_lo_W(high);
        rows[4 * half + 3] = Q6_V_hi_W(high);
    }
}

/** Vectors that `tte_hvx_pack` writes for eight rows of k bytes. */
TTE_INLINE int32_t tte_hvx_packed(int32_t k)
{
    return 1 + (k + 15) / 16;
}

/**
 * x[m,k] as `tte_hvx_dots` reads it, one group of eight rows after the other: 32 words, of which the first eight are
 * each row's correction, then for every four columns those of each row. Rows behind the last are its copies. Weights
 * are unsigned, 128 too large: the correction is -128 times the row's sum.
 */
TTE_INLINE void tte_hvx_pack(const int8_t *x, int32_t m, int32_t k, HVX_Vector *to, HVX_Vector *spare)
{
    for (int32_t i = 0; i < m; i += TTE_HVX_ROWS, to += tte_hvx_packed(k)) {
        HVX_Vector sums = Q6_V_vzero();
        for (int32_t j = 0; j < k; j += TTE_HVX_BYTES) {
            HVX_Vector v[TTE_HVX_ROWS];
            TTE_HVX_EACH (int32_t r = 0; r < TTE_HVX_ROWS; r++) {
                const int32_t at = tte_min_s32(i + r, m - 1) * k + j;
                v[r] = tte_hvx_load(x + at, tte_min_s32(k - j, TTE_HVX_BYTES), m * k - at, spare);
            }
            tte_hvx_transpose(v);
            TTE_HVX_EACH (int32_t g = 0; g < TTE_HVX_ROWS && j + 16 * g < k; g++) {
                sums = Q6_Vw_vrmpyacc_VwVubVb(sums, Q6_V_vsplat_R(0x01010101), v[g]);
                to[1 + j / 16 + g] = v[g];
            }
        }
        sums = Q6_Vw_vadd_VwVw(sums, Q6_V_vror_VR(sums, 64));
        sums = Q6_Vw_vadd_VwVw(sums, Q6_V_vror_VR(sums, 32));
        *to = Q6_Vw_vsub_VwVw(Q6_V_vzero(), Q6_Vw_vasl_VwR(sums, 7));
    }
}

/** s[i] = bias + row i of packed x . 32 rows of w, for i < `rows`, a constant; the others are copies of the last. */
TTE_INLINE void tte_hvx_dots(HVX_Vector *s, HVX_Vector bias, const HVX_Vector *x, const HVX_Vector *w, int32_t k,
                             int32_t rows)
{
    const int32_t *const corrections = (const int32_t *)(const void *)x;
    const int64_t *fours = (const int64_t *)(const void *)(x + 1);
    TTE_HVX_EACH (int32_t i = 0; i < rows; i++) {
        s[i] = Q6_Vw_vadd_VwVw(bias, Q6_V_vsplat_R(corrections[i]));
    }
    for (int32_t steps = (k + 3) / 4; steps > 0; steps--, w++, fours += TTE_HVX_ROWS / 2) {
        TTE_HVX_EACH (int32_t i = 0; i < rows; i += 2) {
            const int64_t two = fours[i / 2];
            s[i] = Q6_Vw_vrmpyacc_VwVubRb(s[i], *w, (int32_t)two);
            if (i + 1 < rows) {
                s[i + 1] = Q6_Vw_vrmpyacc_VwVubRb(s[i + 1], *w, (int32_t)(two >> 32));
            }
        }
    }
    TTE_HVX_EACH (int32_t i = rows; i < TTE_HVX_ROWS; i++) {
        s[i] = s[rows - 1];
    }
}

/** x * m; 0 <= m < 2^31. Low and high words. */
TTE_INLINE HVX_VectorPair tte_hvx_mul(HVX_Vector x, HVX_Vector m)
{
    return Q6_W_vmpyoacc_WVwVh(Q6_W_vmpye_VwVuh(x, m), x, m);
}

/** How sums of 32 channels become s8, in units of the result: tte_finish under TTE_SINGLE. */
typedef struct {
    HVX_Vector multiplier, left, most, half, right;
} tte_hvx_finisher;

/**
 * From multipliers and right shifts, of which -28 is the least. Half is 2^(shift + 30), of which only the upper word
 * counts, since shifts below 2 are made up for by shifting the sum to the left.
 */
TTE_INLINE tte_hvx_finisher tte_hvx_finish_by(const HVX_Vector *q)
{
    const HVX_Vector one = Q6_V_vsplat_R(1), two = Q6_V_vsplat_R(2);
    tte_hvx_finisher f;
    f.multiplier = q[0];
    f.left = Q6_Vw_vmax_VwVw(Q6_Vw_vsub_VwVw(two, q[1]), Q6_V_vzero());
    f.most = Q6_Vw_vasr_VwVw(Q6_V_vsplat_R(INT32_MAX), f.left);
    f.right = Q6_Vw_vsub_VwVw(Q6_Vw_vmax_VwVw(q[1], two), one);
    f.half = Q6_Vw_vasl_VwVw(one, Q6_Vw_vsub_VwVw(f.right, one));
    return f;
}

/**
 * Sums in units of the result; `least` is the least shift. A sum that a shift to the left would carry past 32 bits is
 * cut: it stays beyond every s8.
 */
TTE_INLINE HVX_Vector tte_hvx_finish(HVX_Vector sum, const tte_hvx_finisher *f, int32_t least)
{
    if (least < 2) {
        sum = Q6_Vw_vmin_VwVw(Q6_Vw_vmax_VwVw(sum, Q6_V_vnot_V(f->most)), f->most);
        sum = Q6_Vw_vasl_VwVw(sum, f->left);
    }
    const HVX_Vector upper = Q6_V_hi_W(tte_hvx_mul(sum, f->multiplier));
    return Q6_Vw_vasr_VwVw(Q6_Vw_vadd_VwVw(upper, f->half), f->right);
}

/** Four vectors of s32, to which zero is added, as s8 one after the other, clamped. */
TTE_INLINE HVX_Vector tte_hvx_narrow(const HVX_Vector *s, int32_t zero, int32_t lo, int32_t hi)
{
    const HVX_Vector zeros = Q6_Vh_vsplat_R(zero);
    const HVX_Vector front = Q6_Vh_vadd_VhVh_sat(Q6_Vh_vpack_VwVw_sat(s[1], s[0]), zeros);
    const HVX_Vector back = Q6_Vh_vadd_VhVh_sat(Q6_Vh_vpack_VwVw_sat(s[3], s[2]), zeros);
    const HVX_Vector v = Q6_Vb_vpack_VhVh_sat(back, front);
    return Q6_Vb_vmin_VbVb(Q6_Vb_vmax_VbVb(v, Q6_Vb_vsplat_R(lo)), Q6_Vb_vsplat_R(hi));
}

/** x * 2^-8 to the nearest integer, ties to even. x is unsigned. */
TTE_INLINE HVX_Vector tte_hvx_round(HVX_Vector x)
{
    const HVX_Vector whole = Q6_Vuw_vlsr_VuwR(x, 8);
    const HVX_Vector rest = Q6_V_vand_VV(x, Q6_V_vsplat_R(255)), odd = Q6_V_vand_VV(whole, Q6_V_vsplat_R(1));
    const HVX_Vector up = Q6_Vw_vadd_VwVw(Q6_Vw_vadd_VwVw(rest, odd), Q6_V_vsplat_R(127));
    return Q6_Vw_vadd_VwVw(whole, Q6_Vuw_vlsr_VuwR(up, 8));
}

/**
 * The bits of f32(sum) * scale, rounded as floats are, in integers. The scale is mantissa * 2^(exponent - 191) with
 * 2^30 <= mantissa < 2^31, and neither it nor the product is subnormal or infinite. Both factors are made to begin at a
 * known bit; what rounding carries beyond 24 bits carries into the exponent.
 */
TTE_INLINE HVX_Vector tte_hvx_real(HVX_Vector sum, HVX_Vector mantissa, HVX_Vector exponent)
{
    const HVX_Vector none = Q6_V_vzero(), one = Q6_V_vsplat_R(1), size = Q6_Vw_vabs_Vw(sum);
    const HVX_Vector left = Q6_Vuw_vcl0_Vuw(size);
    const HVX_Vector near = tte_hvx_round(Q6_Vw_vasl_VwVw(size, left));
    const HVX_VectorPair product = tte_hvx_mul(Q6_Vw_vasl_VwR(near, 6), mantissa);
    const HVX_VectorPred exact = Q6_Q_vcmp_eq_VwVw(Q6_V_lo_W(product), none);
    const HVX_Vector upper = Q6_V_vor_VV(Q6_V_hi_W(product), Q6_V_vmux_QVV(exact, none, one));
    const HVX_Vector more = Q6_Vuw_vcl0_Vuw(upper);
    const HVX_Vector bits = tte_hvx_round(Q6_Vw_vasl_VwVw(upper, more));
    const HVX_Vector power = Q6_Vw_vsub_VwVw(exponent, Q6_Vw_vadd_VwVw(left, more));
    const HVX_Vector real = Q6_Vw_vadd_VwVw(Q6_Vw_vasl_VwR(power, 23), bits);
    const HVX_Vector sign = Q6_V_vand_VV(sum, Q6_V_vsplat_R(INT32_MIN));
    return Q6_V_vmux_QVV(Q6_Q_vcmp_eq_VwVw(sum, none), none, Q6_V_vor_VV(real, sign));
}

#endif
