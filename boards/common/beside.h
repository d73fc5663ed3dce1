/** @file beside.h  What a program asks of a board with a unit beside the cpu, and what npu.c gives. */
#ifndef TTE_BESIDE_H
#define TTE_BESIDE_H

#include <stddef.h>
#include <stdint.h>

/** The first `bytes` bytes of the memory that both units see, zeros at first; NULL if there is none. */
void *tte_port_window(size_t bytes);

/** Let the other unit begin to serve; 0 if it can't. */
int32_t tte_port_begin(void *window);

/** Wait until the other unit has ended, which was told to stop. */
void tte_port_end(void);

/** In npu.c: the bytes of the window that the model uses. */
extern const uint32_t tte_window_bytes;

/** In npu.c: do the jobs that come through the window, until told to stop. */
void tte_serve(void *window);

#endif
