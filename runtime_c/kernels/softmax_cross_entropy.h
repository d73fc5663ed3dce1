/** @file softmax_cross_entropy.h  The loss of a classifier, and its gradient. */
#ifndef TTE_SOFTMAX_CROSS_ENTROPY_H
#define TTE_SOFTMAX_CROSS_ENTROPY_H

#include "tte/tte.h"
#include "tte/tte_math.h"

typedef struct { int32_t n; } tte_softmax_cross_entropy_params;
typedef tte_softmax_cross_entropy_params tte_softmax_cross_entropy_grad_params;

/**
 * scores[i] = e^(logits[i] - max) / total, with total the sum of these powers in order, and
 * loss = log(total) - (logits[label] - max); a label outside 0..n-1 reads nothing and has 0 there.
 */
TTE_KERNEL tte_softmax_cross_entropy(const tte_softmax_cross_entropy_params *p, const float *restrict logits,
                                     const int32_t *restrict label, float *restrict loss,
                                     float *restrict scores)
{
    float max = logits[0], total = 0.0f;
    for (int32_t i = 1; i < p->n; i++) {
        max = logits[i] > max ? logits[i] : max;
    }
    for (int32_t i = 0; i < p->n; i++) {
        scores[i] = tte_exp(logits[i] - max);
        total += scores[i];
    }
    for (int32_t i = 0; i < p->n; i++) {
        scores[i] /= total;
    }
    *loss = tte_log(total) - (*label >= 0 && *label < p->n ? logits[*label] - max : 0.0f);
}

/** y[i] = scores[i] - (i == label). y may be the scores. */
TTE_KERNEL tte_softmax_cross_entropy_grad(const tte_softmax_cross_entropy_grad_params *p, const float *scores,
                                          const int32_t *label, float *y)
{
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = scores[i] - (i == *label ? 1.0f : 0.0f);
    }
}

#endif
