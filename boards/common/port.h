/** @file port.h  What main.c asks of a board. */
#ifndef TTE_PORT_H
#define TTE_PORT_H

#include <stddef.h>
#include <stdint.h>

/** Read up to `bytes` bytes of the program's input to `to`; the number read, 0 at the end. */
int32_t tte_port_read(void *to, size_t bytes);

/** Append `bytes` bytes to the program's output; the number written. */
int32_t tte_port_write(const void *from, size_t bytes);

/** Marks a moment. Empty: the emulator's counter watches its address; on hardware, read a cycle counter here. */
void tte_mark(void);

/** Bytes of stack ever used, from the paint; 0 where it is not painted. */
uint32_t tte_stack_high_water(void);

#endif
