/** @file cache_codes.h  New rows of a cache in few bits; where codes and scales stay in place only those are written. */
#ifndef TTE_CACHE_CODES_H
#define TTE_CACHE_CODES_H

#include "tte/tte_chunk.h"
#include "tte/tte_codes.h"

typedef struct { int32_t n, s, heads, depth; } tte_cache_codes_s8_params;

/** y[s, codes], t[s, scales] = the cache, unless they lie on it. */
TTE_INLINE void tte_copy_cache(const tte_cache_codes_s8_params *p, const void *codes, int32_t bytes,
                               const float *scales, int32_t of_head, void *y, float *t)
{
    const uint8_t *from = codes;
    uint8_t *to = y;
    for (int32_t i = 0; to != from && i < p->s * bytes; i++) {
        to[i] = from[i];
    }
    for (int32_t i = 0; t != scales && i < p->s * p->heads * of_head; i++) {
        t[i] = scales[i];
    }
}

/** Row start + i of y[s, heads * depth] and t[s, heads] is row i of x in 8 bits, for i < count; the rest is the cache. */
TTE_KERNEL tte_cache_codes_s8(const tte_cache_codes_s8_params *p, const int8_t *codes, const float *scales,
                              const float *restrict x, const int32_t *restrict span, int8_t *y, float *t)
{
    tte_copy_cache(p, codes, p->heads * p->depth, scales, 1, y, t);
    for (int32_t i = 0; i < p->n && i < span[1]; i++) {
        const int64_t at = (int64_t)span[0] + i;
        for (int32_t h = 0; at >= 0 && at < p->s && h < p->heads; h++) {
            const int64_t head = at * p->heads + h;
            tte_code_s8(x + (i * p->heads + h) * p->depth, p->depth, y + head * p->depth, t + head);
        }
    }
}

/** As tte_cache_codes_s8, but 4 bits in y[s, heads * depth / 2], and t[s, heads * 2]. */
TTE_KERNEL tte_cache_codes_u4(const tte_cache_codes_s8_params *p, const uint8_t *codes, const float *scales,
                              const float *restrict x, const int32_t *restrict span, uint8_t *y, float *t)
{
    tte_copy_cache(p, codes, p->heads * p->depth / 2, scales, 2, y, t);
    for (int32_t i = 0; i < p->n && i < span[1]; i++) {
        const int64_t at = (int64_t)span[0] + i;
        for (int32_t h = 0; at >= 0 && at < p->s && h < p->heads; h++) {
            const int64_t head = at * p->heads + h;
            tte_code_u4(x + (i * p->heads + h) * p->depth, p->depth, y + head * (p->depth / 2), t + 2 * head);
        }
    }
}

#endif
