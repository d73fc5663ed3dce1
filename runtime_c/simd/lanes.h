/** @file lanes.h  Vectors that gcc and clang turn into SSE or NEON by themselves; each lane has the bits of a scalar. */
#ifndef TTE_LANES_H
#define TTE_LANES_H

#include "tte/tte.h"

#define TTE_LANES 16 /* outputs computed at a time: those of tte/lanes.py */

/** Four floats, at any address of a float. */
typedef float tte_f32x4 __attribute__((vector_size(16), aligned(4), may_alias));

#endif
