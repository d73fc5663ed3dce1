/** @file tte_sampler.h  Draws the next token from logits, bit for bit tte/language/sampler.py. */
#ifndef TTE_SAMPLER_H
#define TTE_SAMPLER_H

#include "tte/tte_math.h"
#include "tte/tte_random.h"

/**
 * How to draw: at temperature 0 the likeliest token; else in proportion to e^(logit / temperature), from the likeliest
 * tokens that together have `top_p` of all, 0 < top_p <= 1.
 */
typedef struct {
    float temperature, top_p;
    int32_t seed;
} tte_sampler;

/** True if token a is likelier than b, or as likely and of lower number. */
static inline int32_t tte_likelier(const float *weights, int32_t a, int32_t b)
{
    return weights[a] > weights[b] || (weights[a] == weights[b] && a < b);
}

/** Let the token at `at` of a heap of n sink until none below it is likelier. */
static inline void tte_sink(const float *weights, int32_t *heap, int32_t at, int32_t n)
{
    for (int32_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        child += child + 1 < n && tte_likelier(weights, heap[child + 1], heap[child]);
        if (!tte_likelier(weights, heap[child], heap[at])) {
            return;
        }
        const int32_t moved = heap[at];
        heap[at] = heap[child];
        heap[child] = moved;
        at = child;
    }
}

/**
 * The token at a position, given n logits, which are finite: each position has its own random bits. At a temperature
 * above 0, `weights` and `heap` are room for n; otherwise they may be null.
 */
static inline int32_t tte_sample(const tte_sampler *s, const float *logits, int32_t n, int32_t position,
                                 float *weights, int32_t *heap)
{
    int32_t likeliest = 0;
    for (int32_t i = 1; i < n; i++) {
        likeliest = logits[i] > logits[likeliest] ? i : likeliest;
    }
    if (!(s->temperature > 0.0f)) {
        return likeliest;
    }
    float all = 0.0f, sum = 0.0f, wanted = 0.0f;
    for (int32_t i = 0; i < n; i++) {
        weights[i] = tte_exp((logits[i] - logits[likeliest]) / s->temperature);
        heap[i] = i;
        all += weights[i];
    }
    for (int32_t i = n / 2; i-- > 0;) {
        tte_sink(weights, heap, i, n);
    }
    int32_t left = n; /* in the heap; behind it are those taken out, the likeliest last */
    while (left > 0 && (left == n || sum < s->top_p * all)) {
        const int32_t taken = heap[0];
        heap[0] = heap[--left];
        heap[left] = taken;
        sum += weights[taken];
        tte_sink(weights, heap, 0, left);
    }
    const int32_t clock[2] = {position, s->seed};
    wanted = (float)(tte_bits(tte_key_of(clock, 0), 0) >> 8) * 5.9604644775390625e-8f * sum;
    sum = 0.0f;
    for (int32_t i = n - 1; i > left; i--) {
        sum += weights[heap[i]];
        if (sum > wanted) {
            return heap[i];
        }
    }
    return heap[left];
}

#endif
