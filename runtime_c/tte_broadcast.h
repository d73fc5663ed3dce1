/** @file tte_broadcast.h  Loops over two tensors of which one is repeated to the shape of the other. */
#ifndef TTE_BROADCAST_H
#define TTE_BROADCAST_H

#include "tte/tte.h"

/** Extents, and strides of a and b in elements (0: repeated); see tte/shapes/broadcast.py. */
#define TTE_BROADCAST_PARAMS int32_t n0, n1, n2, n3, a0, a1, a2, a3, b0, b1, b2, b3

/** Statements for each element of the result in turn, made of a[ia] and b[ib]. */
#define TTE_BROADCAST_LOOPS(p, ...)                                                                              \
    do {                                                                                                         \
        for (int32_t i0 = 0; i0 < (p)->n0; i0++) {                                                               \
            for (int32_t i1 = 0; i1 < (p)->n1; i1++) {                                                           \
                for (int32_t i2 = 0; i2 < (p)->n2; i2++) {                                                       \
                    for (int32_t i3 = 0; i3 < (p)->n3; i3++) {                                                   \
                        const int32_t ia = i0 * (p)->a0 + i1 * (p)->a1 + i2 * (p)->a2 + i3 * (p)->a3;            \
                        const int32_t ib = i0 * (p)->b0 + i1 * (p)->b1 + i2 * (p)->b2 + i3 * (p)->b3;            \
                        __VA_ARGS__;                                                                             \
                    }                                                                                            \
                }                                                                                                \
            }                                                                                                    \
        }                                                                                                        \
    } while (0)

/** y[...] = each(p, a[...], b[...]). */
#define TTE_BROADCAST(each, p, a, b, y) TTE_BROADCAST_LOOPS(p, *(y)++ = each(p, (a)[ia], (b)[ib]))

#endif
