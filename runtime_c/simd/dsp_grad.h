/** @file simd/dsp_grad.h  Products of rounded gradients for Arm's DSP extension, four channels at a time. */
#ifndef TTE_SIMD_DSP_GRAD_H
#define TTE_SIMD_DSP_GRAD_H

#include "tte/simd/dsp.h"
#include "tte/tte_dot.h"

/** Before a loop: four of its turns in a row. */
#ifdef __clang__
#define TTE_DSP_UNROLL_FOUR _Pragma("unroll 4")
#else
#define TTE_DSP_UNROLL_FOUR _Pragma("GCC unroll 4")
#endif

/** The high halves of a and b, as low and high half. */
TTE_INLINE int32_t tte_dsp_highs(int32_t a, int32_t b)
{
    int32_t r;
    __asm__("pkhtb %0, %2, %1, asr #16" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

/** sum + a.high * b.high. */
TTE_INLINE int32_t tte_dsp_mla_highs(int32_t a, int32_t b, int32_t sum)
{
    int32_t r;
    __asm__("smlatt %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(sum));
    return r;
}

/** Two bytes, at any address, as the low half. */
TTE_INLINE int32_t tte_dsp_load2(const int8_t *p)
{
    uint16_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

/** Two words at an address that is a multiple of 4. */
typedef struct { int32_t a, b; } tte_dsp_two;

TTE_INLINE tte_dsp_two tte_dsp_load_two(const void *p)
{
    tte_dsp_two r;
    __asm__("ldrd %0, %1, [%2]" : "=&r"(r.a), "=&r"(r.b) : "r"(p), "m"(*(const char(*)[8])p));
    return r;
}

/** Four channels of g in s8 as pairs of 0 and 2, 1 and 3; in s16, of 0 and 1, 2 and 3. */
TTE_INLINE tte_dsp_two tte_dsp_halves(const void *g, int32_t s8)
{
    if (s8) {
        const int32_t four = tte_dsp_load4(g);
        return (tte_dsp_two){tte_dsp_even_of(four), tte_dsp_odd_of(four)};
    }
    return tte_dsp_load_two(g);
}

/** to[4]: byte i of a and byte i of b as halves of word i, sign-extended. */
TTE_INLINE void tte_dsp_across(int32_t a, int32_t b, int32_t *to)
{
    const int32_t a02 = tte_dsp_even_of(a), a13 = tte_dsp_odd_of(a), b02 = tte_dsp_even_of(b), b13 = tte_dsp_odd_of(b);
    to[0] = tte_dsp_pair(a02, b02);
    to[1] = tte_dsp_pair(a13, b13);
    to[2] = tte_dsp_highs(a02, b02);
    to[3] = tte_dsp_highs(a13, b13);
}

/**
 * The same of four filters a, b, c, d in `to` and `to + 4`, for words {a0, b0, a2, b2} and {c0, d0, c2, d2}: channels 0
 * and 2 of x, at to[0] and to[2]. The pairs are (a, c) and (b, d), as g in s8 has them, else (a, b) and (c, d).
 */
TTE_INLINE void tte_dsp_across_pairs(int32_t ab, int32_t cd, int32_t s8, int32_t *to)
{
    const int32_t a = tte_dsp_even_of(ab), b = tte_dsp_odd_of(ab), c = tte_dsp_even_of(cd), d = tte_dsp_odd_of(cd);
    to[0] = tte_dsp_pair(a, s8 ? c : b);
    to[2] = tte_dsp_highs(a, s8 ? c : b);
    to[4] = tte_dsp_pair(s8 ? b : c, d);
    to[6] = tte_dsp_highs(s8 ? b : c, d);
}

/* Two products for each of four sums: the pair g with four words of w. */
#define TTE_DSP_FOUR_MLA(g)                      \
    "ldmia %[w]!, {r2-r5}\n\t"                   \
    "smlad %[a], r2, %[" g "], %[a]\n\t"         \
    "smlad %[b], r3, %[" g "], %[b]\n\t"         \
    "smlad %[c], r4, %[" g "], %[c]\n\t"         \
    "smlad %[d], r5, %[" g "], %[d]\n\t"

/**
 * The sums over n channels of g, n % 4 == 0, times four columns of weights. w has eight words for each four channels of
 * g: pairs of channels 0 and 2, for each column, then 1 and 3; in s16, 0 and 1, then 2 and 3.
 */
TTE_INLINE tte_sums4 tte_dsp_four_columns(const void *g, int32_t s8, const int32_t *w, int32_t n)
{
    tte_sums4 s = {0, 0, 0, 0};
    int32_t u, v;
    TTE_DSP_UNROLL_FOUR
    for (int32_t i = 0; i < n; i += 4) {
        if (s8) {
            __asm__ volatile("ldr %[u], [%[g]], #4\n\t"
                             "sxtb16 %[v], %[u]\n\t" TTE_DSP_FOUR_MLA("v")
                             "sxtb16 %[v], %[u], ror #8\n\t" TTE_DSP_FOUR_MLA("v")
                             : [a] "+&r"(s.a), [b] "+&r"(s.b), [c] "+&r"(s.c), [d] "+&r"(s.d), [g] "+&r"(g),
                               [w] "+&r"(w), [u] "=&r"(u), [v] "=&r"(v)
                             :
                             : "memory", "r2", "r3", "r4", "r5");
        } else {
            __asm__ volatile("ldrd %[u], %[v], [%[g]], #8\n\t" TTE_DSP_FOUR_MLA("u") TTE_DSP_FOUR_MLA("v")
                             : [a] "+&r"(s.a), [b] "+&r"(s.b), [c] "+&r"(s.c), [d] "+&r"(s.d), [g] "+&r"(g),
                               [w] "+&r"(w), [u] "=&r"(u), [v] "=&r"(v)
                             :
                             : "memory", "r2", "r3", "r4", "r5");
        }
    }
    return s;
}

/* Four sums of four products each, as floats in s4 to s7. */
#define TTE_DSP_SPREAD_SUMS            \
    "ldmia %[w]!, {r2-r5}\n\t"         \
    "smuad r2, r2, %[u]\n\t"           \
    "smuad r3, r3, %[u]\n\t"           \
    "smuad r4, r4, %[u]\n\t"           \
    "smuad r5, r5, %[u]\n\t"           \
    "ldmia %[w]!, {r8-r10, r12}\n\t"   \
    "smlad r2, r8, %[v], r2\n\t"       \
    "smlad r3, r9, %[v], r3\n\t"       \
    "smlad r4, r10, %[v], r4\n\t"      \
    "smlad r5, r12, %[v], r5\n\t"      \
    "vmov s4, s5, r2, r3\n\t"          \
    "vmov s6, s7, r4, r5\n\t"          \
    "vcvt.f32.s32 s4, s4\n\t"          \
    "vcvt.f32.s32 s5, s5\n\t"          \
    "vcvt.f32.s32 s6, s6\n\t"          \
    "vcvt.f32.s32 s7, s7\n\t"
#define TTE_DSP_SPREAD(load, op)                                                                                    \
    __asm__ volatile(TTE_DSP_SPREAD_SUMS load op " s0, s4, %[step]\n\t" op " s1, s5, %[step]\n\t" op               \
                     " s2, s6, %[step]\n\t" op " s3, s7, %[step]\n\t"                                               \
                     "vstmia %[y]!, {s0-s3}"                                                                        \
                     : [w] "+&r"(w), [y] "+&r"(y)                                                                   \
                     : [u] "r"(four.a), [v] "r"(four.b), [step] "t"(step)                                           \
                     : "memory", "r2", "r3", "r4", "r5", "r8", "r9", "r10", "r12", "s0", "s1", "s2", "s3", "s4",    \
                       "s5", "s6", "s7")

/**
 * y[n] += step * (four channels of g times four weights for each of n channels), n % 4 == 0; `begin` adds to zero. w has
 * eight words for each four channels, as in tte_dsp_four_columns. As step is a power of two, its product is exact, and a
 * fused one the same.
 */
TTE_INLINE void tte_dsp_spread(const void *g, int32_t s8, const int32_t *w, int32_t n, float step, int32_t begin,
                               float *y)
{
    const tte_dsp_two four = tte_dsp_halves(g, s8);
    if (begin) {
        for (int32_t i = 0; i < n; i += 4) {
            TTE_DSP_SPREAD("", "vmul.f32");
        }
    } else {
        TTE_DSP_UNROLL_FOUR
        for (int32_t i = 0; i < n; i += 4) {
            TTE_DSP_SPREAD("vldmia %[y], {s0-s3}\n\t", "vfma.f32");
        }
    }
}

/** Add each half of two words of g, two channels a and c, b and d, times that of two words at w. */
TTE_INLINE tte_sums4 tte_dsp_each(const int32_t *g, const int32_t *w, tte_sums4 s)
{
    return (tte_sums4){tte_dsp_mla(g[0], w[0], s.a), tte_dsp_mla_highs(g[0], w[0], s.b),
                       tte_dsp_mla(g[1], w[1], s.c), tte_dsp_mla_highs(g[1], w[1], s.d)};
}

#endif
