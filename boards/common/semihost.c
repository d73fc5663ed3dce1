/**
 * @file semihost.c  The port through a debugger's semihosting: input is the host's file tte.in, output is tte.out.
 * Source: Arm, "Semihosting for AArch32 and AArch64", 2.0.
 */
#include "board/mcu.h"
#include "board/port.h"

enum { OPEN = 0x01, CLOSE = 0x02, WRITE0 = 0x04, WRITE = 0x05, READ = 0x06, EXIT_EXTENDED = 0x20 };
enum { MODE_RB = 1, MODE_WB = 5, NAME_BYTES = 7, APPLICATION_EXIT = 0x20026 };

static uintptr_t input, output; /* handles plus 1; 0 is not open */

static uintptr_t opened(const char *name, uintptr_t mode)
{
    const uintptr_t block[3] = {(uintptr_t)name, mode, (uintptr_t)(NAME_BYTES - (mode == MODE_RB))};
    return (uintptr_t)(tte_semihost(OPEN, block) + 1);
}

/** Read and write answer with the number of bytes that were left over. */
static int32_t transfer(uint32_t request, uintptr_t handle, uintptr_t address, size_t bytes)
{
    const uintptr_t block[3] = {handle - 1u, address, bytes};
    const int32_t left = handle != 0u ? tte_semihost(request, block) : (int32_t)bytes;
    return left < 0 ? 0 : (int32_t)bytes - left;
}

int32_t tte_port_read(void *to, size_t bytes)
{
    if (input == 0u) {
        input = opened("tte.in", MODE_RB);
    }
    return transfer(READ, input, (uintptr_t)to, bytes);
}

int32_t tte_port_write(const void *from, size_t bytes)
{
    if (output == 0u) {
        output = opened("tte.out", MODE_WB);
    }
    return transfer(WRITE, output, (uintptr_t)from, bytes);
}

_Noreturn void tte_exit(int code)
{
    const uintptr_t block[2] = {APPLICATION_EXIT, (uintptr_t)code};
    const uintptr_t handle[1] = {output - 1u};
    if (output != 0u) {
        tte_semihost(CLOSE, handle);
    }
    for (;;) {
        tte_semihost(EXIT_EXTENDED, block);
    }
}

_Noreturn void tte_fault(int memory_fault)
{
    tte_semihost(WRITE0, memory_fault ? "memory fault\n" : "unexpected exception\n");
    tte_exit(memory_fault ? 99 : 98);
}
