/** @file tte_broadcast.h  Loops over two tensors of which one is repeated to the shape of the other. */
#ifndef TTE_BROADCAST_H
#define TTE_BROADCAST_H

#include "tte/tte.h"

/** Extents, and strides of a and b in elements (0: repeated); see tte/broadcast.py. */
#define TTE_BROADCAST_PARAMS int32_t n0, n1, n2, n3, a0, a1, a2, a3, b0, b1, b2, b3

/** y[...] = each(p, a[...], b[...]). */
#define TTE_BROADCAST(each, p, a, b, y)                                                                          \
    do {                                                                                                         \
        for (int32_t i0 = 0; i0 < (p)->n0; i0++) {                                                               \
            for (int32_t i1 = 0; i1 < (p)->n1; i1++) {                                                           \
                for (int32_t i2 = 0; i2 < (p)->n2; i2++) {                                                       \
                    for (int32_t i3 = 0; i3 < (p)->n3; i3++) {                                                   \
                        *(y)++ = each(p, (a)[i0 * (p)->a0 + i1 * (p)->a1 + i2 * (p)->a2 + i3 * (p)->a3],         \
                                      (b)[i0 * (p)->b0 + i1 * (p)->b1 + i2 * (p)->b2 + i3 * (p)->b3]);           \
                    }                                                                                            \
                }                                                                                                \
            }                                                                                                    \
        }                                                                                                        \
    } while (0)

#endif
