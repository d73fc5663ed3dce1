/** @file mcu.h  What the files of a microcontroller board ask of each other. */
#ifndef TTE_MCU_H
#define TTE_MCU_H

#include <stdint.h>

/** The word that unused stack holds; the reset code, in assembly, takes it as an operand. */
#define TTE_PAINT 0xA5A5A5A5u

/** The debugger's answer to a semihosting request. */
int32_t tte_semihost(uint32_t request, const void *argument);

/** End the program; `code` is the emulator's exit status. */
_Noreturn void tte_exit(int code);

/** End the program after an exception: status 99 for a memory fault, 98 for any other. */
_Noreturn void tte_fault(int memory_fault);

/** Allow only flash (read, execute), sram (read, write) and peripherals; anything else is a memory fault. */
void tte_fence(void);

/** The part of the start-up in C: .data, .bss, fence, main. The stack is set and painted before. */
_Noreturn void tte_start(void);

/** Where the processor starts. */
void tte_reset(void);

#endif
