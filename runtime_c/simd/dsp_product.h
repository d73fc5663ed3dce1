/** @file simd/dsp_product.h  The inner loops for Arm's DSP extension: sums of products that share what they load. */
#ifndef TTE_SIMD_DSP_PRODUCT_H
#define TTE_SIMD_DSP_PRODUCT_H

#include "tte/simd/dsp.h"

/** Sums of four pixels (0 to 3) for two channels (a, b). */
typedef struct { int32_t a0, a1, a2, a3, b0, b1, b2, b3; } tte_dsp_sums;

/* Two products for each of the eight sums, added to those named. */
#define TTE_DSP_MLA(sum, x, w, from) "smlad %[" sum "], %[" x "], %[" w "], %[" from "]\n\t"
#define TTE_DSP_PAIRS(a0, a1, a2, b0, b1, b2)                                              \
    "ldr %[u], [%[w]], #4\n\t"                                                             \
    "ldrd %[p], %[q], [%[x]], #8\n\t"                                                      \
    "sxtb16 %[v], %[u]\n\t"                                                                \
    "sxtb16 %[u], %[u], ror #8\n\t"                                                        \
    TTE_DSP_MLA("a0", "p", "v", a0) TTE_DSP_MLA("b0", "p", "u", b0)                        \
    TTE_DSP_MLA("a1", "q", "v", a1) TTE_DSP_MLA("b1", "q", "u", b1)                        \
    "ldrd %[p], %[q], [%[x]], #8\n\t"                                                      \
    TTE_DSP_MLA("a2", "p", "v", a2) TTE_DSP_MLA("b2", "p", "u", b2)                        \
    TTE_DSP_MLA("a3", "q", "v", "a3") TTE_DSP_MLA("b3", "q", "u", "b3")
#define TTE_DSP_FIRST TTE_DSP_PAIRS("a3", "a3", "a3", "b3", "b3", "b3")
#define TTE_DSP_NEXT TTE_DSP_PAIRS("a0", "a1", "a2", "b0", "b1", "b2")
#define TTE_DSP_NEXT2 TTE_DSP_NEXT TTE_DSP_NEXT
#define TTE_DSP_NEXT4 TTE_DSP_NEXT2 TTE_DSP_NEXT2

/* A product is one asm, as chained ones leave the compiler no register to shuffle with: a few steps, then eights. */
#define TTE_DSP_RUN(text, ...)                                                                                        \
    __asm__ volatile(text : [a0] "=&r"(s.a0), [a1] "=&r"(s.a1), [a2] "=&r"(s.a2), [a3] "+&r"(s.a3), [b0] "=&r"(s.b0), \
                     [b1] "=&r"(s.b1), [b2] "=&r"(s.b2), [b3] "+&r"(s.b3), [x] "+&r"(x), [w] "+&r"(w), [p] "=&r"(p),  \
                     [q] "=&r"(q), [u] "=&r"(u), [v] "=&r"(v) : __VA_ARGS__ : "memory", "cc")
#define TTE_DSP_EIGHTS                                                                                                \
    "1:\n\t" TTE_DSP_NEXT4 TTE_DSP_NEXT4 "ldr %[u], %[end]\n\tcmp %[x], %[u]\n\tbne 1b\n\t"
#define TTE_DSP_STEPS(rest, text)                                                                                     \
    case rest:                                                                                                        \
        if (pairs > 8) {                                                                                              \
            TTE_DSP_RUN(TTE_DSP_FIRST text TTE_DSP_EIGHTS, [end] "m"(end));                                           \
        } else {                                                                                                      \
            TTE_DSP_RUN(TTE_DSP_FIRST text, );                                                                        \
        }                                                                                                             \
        break;

/**
 * Products of `pairs` >= 1 pairs of values, of four pixels with two channels, plus the biases a and b.
 * x holds pairs as s16, those of the four pixels in turn; w holds words {a0, b0, a1, b1}.
 */
TTE_INLINE tte_dsp_sums tte_dsp_product(const int32_t *x, const int32_t *w, int32_t pairs, int32_t a, int32_t b)
{
    tte_dsp_sums s = {.a3 = a, .b3 = b};
    const int32_t *const end = x + 4 * pairs;
    int32_t p, q, u, v;
    switch ((pairs - 1) % 8) {
        TTE_DSP_STEPS(0, "")
        TTE_DSP_STEPS(1, TTE_DSP_NEXT)
        TTE_DSP_STEPS(2, TTE_DSP_NEXT2)
        TTE_DSP_STEPS(3, TTE_DSP_NEXT2 TTE_DSP_NEXT)
        TTE_DSP_STEPS(4, TTE_DSP_NEXT4)
        TTE_DSP_STEPS(5, TTE_DSP_NEXT4 TTE_DSP_NEXT)
        TTE_DSP_STEPS(6, TTE_DSP_NEXT4 TTE_DSP_NEXT2)
        TTE_DSP_STEPS(7, TTE_DSP_NEXT4 TTE_DSP_NEXT2 TTE_DSP_NEXT)
    }
    return s;
}

/** Sums of two pixels for two channels; otherwise as tte_dsp_product. */
TTE_INLINE tte_dsp_sums tte_dsp_product2(const int32_t *x, const int32_t *w, int32_t pairs, int32_t a, int32_t b)
{
    tte_dsp_sums s = {.a0 = a, .a1 = a, .b0 = b, .b1 = b};
    for (int32_t i = 0; i < pairs; i++, x += 2, w++) {
        const int32_t v = *w, va = tte_dsp_even_of(v), vb = tte_dsp_odd_of(v);
        s.a0 = tte_dsp_mla2(x[0], va, s.a0);
        s.b0 = tte_dsp_mla2(x[0], vb, s.b0);
        s.a1 = tte_dsp_mla2(x[1], va, s.a1);
        s.b1 = tte_dsp_mla2(x[1], vb, s.b1);
    }
    return s;
}

/** One pair of products for each of the two sums of a pixel. */
TTE_INLINE tte_dsp_sums tte_dsp_add_pair(tte_dsp_sums s, int32_t x, int32_t w)
{
    s.a0 = tte_dsp_mla2(x, tte_dsp_even_of(w), s.a0);
    s.b0 = tte_dsp_mla2(x, tte_dsp_odd_of(w), s.b0);
    return s;
}

/** Sums of one pixel for two channels; otherwise as tte_dsp_product. */
TTE_INLINE tte_dsp_sums tte_dsp_product1(const int32_t *x, const int32_t *w, int32_t pairs, int32_t a, int32_t b)
{
    tte_dsp_sums s = {.a0 = a, .b0 = b};
    int32_t i = 0;
    for (; i + 8 <= pairs; i += 8, x += 8, w += 8) {
        s = tte_dsp_add_pair(tte_dsp_add_pair(s, x[0], w[0]), x[1], w[1]);
        s = tte_dsp_add_pair(tte_dsp_add_pair(s, x[2], w[2]), x[3], w[3]);
        s = tte_dsp_add_pair(tte_dsp_add_pair(s, x[4], w[4]), x[5], w[5]);
        s = tte_dsp_add_pair(tte_dsp_add_pair(s, x[6], w[6]), x[7], w[7]);
    }
    for (; i < pairs; i++) {
        s = tte_dsp_add_pair(s, *x++, *w++);
    }
    return s;
}

/** Sums for four channels. */
typedef struct { int32_t a, b, c, d; } tte_dsp_sums4;

/* Four products for each of two sums; TTE_DSP_RUN4 runs `text` on s, x, w, w2 and offset. */
#define TTE_DSP_TWO(w, a, b)                                                                                     \
    "ldrd %[u], %[v], [%[" w "]], #8\n\t"                                                                        \
    "sxtb16 %[t], %[u]\n\t" "sxtb16 %[u], %[u], ror #8\n\t" TTE_DSP_MLA(a, "e", "t", a) TTE_DSP_MLA(b, "e", "u", b) \
    "sxtb16 %[t], %[v]\n\t" "sxtb16 %[v], %[v], ror #8\n\t" TTE_DSP_MLA(a, "o", "t", a) TTE_DSP_MLA(b, "o", "v", b)
#define TTE_DSP_FOUR                                                                                             \
    "ldr %[e], [%[x]], #4\n\t"                                                                                   \
    "sxtab16 %[o], %[z], %[e], ror #8\n\t"                                                                       \
    "sxtab16 %[e], %[z], %[e]\n\t"                                                                               \
    TTE_DSP_TWO("w", "a", "b") TTE_DSP_TWO("w2", "c", "d")
#define TTE_DSP_RUN4(text, ...)                                                                                  \
    do {                                                                                                         \
        int32_t e_, o_, t_, u_, v_;                                                                              \
        __asm__ volatile(text : [a] "+&r"(s.a), [b] "+&r"(s.b), [c] "+&r"(s.c), [d] "+&r"(s.d),                  \
                         [x] "+&r"(x), [w] "+&r"(w), [w2] "+&r"(w2), [e] "=&r"(e_), [o] "=&r"(o_),               \
                         [t] "=&r"(t_), [u] "=&r"(u_), [v] "=&r"(v_) : [z] "r"(offset), __VA_ARGS__ : "memory", "cc"); \
    } while (0)

/**
 * s plus the products of k - k % 4 values at x with the words {a0, b0, a2, b2}, {a1, b1, a3, b3} and so on at w, and
 * with those for c and d at w2.
 */
TTE_INLINE tte_dsp_sums4 tte_dsp_dot4(tte_dsp_sums4 s, const int8_t *x, int32_t k, int32_t zero, const int32_t *w,
                                      const int32_t *w2)
{
    const int32_t offset = tte_dsp_twice(-zero);
    for (int32_t i = 0; i < k / 4 % 4; i++) {
        TTE_DSP_RUN4(TTE_DSP_FOUR, "i"(0));
    }
    if (k >= 16) {
        const int8_t *const end = x + k / 16 * 16;
        TTE_DSP_RUN4("1:\n\t" TTE_DSP_FOUR TTE_DSP_FOUR TTE_DSP_FOUR TTE_DSP_FOUR
                     "ldr %[u], %[end]\n\tcmp %[x], %[u]\n\tbne 1b\n\t", [end] "m"(end));
    }
    return s;
}

#endif
