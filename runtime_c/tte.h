/** @file tte.h  Status codes, and what generated code and kernels share. */
#ifndef TTE_H
#define TTE_H

#include <stddef.h>
#include <stdint.h>

#define TTE_STATUS(X)                                       \
    X(TTE_OK, "ok")                                         \
    X(TTE_ERR_NULL, "a pointer is null")                    \
    X(TTE_ERR_ALIGN, "the arena is not aligned")            \
    X(TTE_ERR_SIZE, "the arena is smaller than the model needs") \
    X(TTE_MORE, "rows of the input are still to come") \
    X(TTE_ERR_LABEL, "there is no such class")              \
    X(TTE_ERR_MODEL, "the states are another model's")      \
    X(TTE_ERR_CRC, "the states are damaged")                \
    X(TTE_ERR_STORAGE, "the storage failed")                \
    X(TTE_ERR_EMPTY, "the storage holds no checkpoint of this model") \
    X(TTE_ERR_LENGTH, "the text is longer than the model's context") \
    X(TTE_ERR_TABLE, "the table breaks the order of its tasks")

#define TTE_STATUS_NAME(name, text) name,
#define TTE_STATUS_CASE(name, text) case name: return text;

typedef enum { TTE_STATUS(TTE_STATUS_NAME) } tte_status;

static inline const char *tte_status_text(tte_status status)
{
    switch (status) { TTE_STATUS(TTE_STATUS_CASE) }
    return "unknown";
}

/** Alignment of an arena. */
#define TTE_ALIGN 8

#define TTE_CHECK_POINTER(p) do { if ((p) == NULL) { return TTE_ERR_NULL; } } while (0)
#define TTE_CHECK_ARENA(p) \
    do { TTE_CHECK_POINTER(p); if ((uintptr_t)(p) % TTE_ALIGN != 0) { return TTE_ERR_ALIGN; } } while (0)

/** What the compiler may take for granted, because tte has proved it. */
#define TTE_ASSUME(c) do { if (!(c)) { __builtin_unreachable(); } } while (0)

/** A kernel: its parameters are constants at every call, and inlining turns them into constants of the loops. */
#define TTE_KERNEL static inline __attribute__((always_inline)) void
#define TTE_INLINE static inline __attribute__((always_inline))

/** A step of the model: one kernel for one shape. It stays a function of its own, so that it can be shared and counted. */
#if defined(__GNUC__) && !defined(__clang__)
#define TTE_STEP static __attribute__((noinline, noclone)) void
#else
#define TTE_STEP static __attribute__((noinline)) void
#endif

/**
 * Call work(arena, part) once for every 0 <= part < parts, side by side or in any order, and return when all are over.
 * The program gives it, where a model was compiled for threads: board/pool.c does. A loop gives the same bits.
 */
void tte_parallel(void (*work)(void *arena, int32_t part), void *arena, int32_t parts);

/** Before the type of a function that all steps of a model share: rarely called, so that its size counts. */
#if defined(__GNUC__) && !defined(__clang__)
#define TTE_RARE static __attribute__((noinline, noclone, unused, cold))
#else
#define TTE_RARE static __attribute__((noinline, unused, cold))
#endif

/**
 * Between rows: what a row wrote may be read by the next, and over what a row read the next may write, though kernels
 * promise (`restrict`) that neither happens within a row.
 */
#define TTE_ROW_DONE() __asm__ volatile("" ::: "memory")

/** A sum kept in bytes of any alignment. */
TTE_INLINE int32_t tte_load_s32(const int8_t *p)
{
    int32_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

/** Keep a sum. */
TTE_INLINE void tte_store_s32(int8_t *p, int32_t v)
{
    __builtin_memcpy(p, &v, sizeof v);
}

/** Rows k of a filter, first <= k < last, that lie inside the input. */
typedef struct { int32_t first, last; } tte_span;

/**
 * Point rows[k] at the rows of x that output row r reads: row r * stride - pad + k * dilation, for 0 <= k < size.
 * x has h rows of `bytes` each, of which the last `ring` are there; those outside the returned span point at x. h is 0
 * where no row is outside x.
 */
TTE_INLINE tte_span tte_rows(const void **rows, const void *x, int32_t ring, int32_t r, int32_t h, int32_t bytes,
                             int32_t size, int32_t stride, int32_t pad, int32_t dilation)
{
    const int32_t top = r * stride - pad;
    tte_span span = {0, size};
    while (h > 0 && span.first < size && top + span.first * dilation < 0) {
        span.first++;
    }
    while (h > 0 && span.last > span.first && top + (span.last - 1) * dilation >= h) {
        span.last--;
    }
    for (int32_t k = 0; k < size; k++) {
        const int32_t inside = k >= span.first && k < span.last;
        rows[k] = (const char *)x + (inside ? (ptrdiff_t)((top + k * dilation) % ring) * bytes : 0);
    }
    return span;
}

#endif
