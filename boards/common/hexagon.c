/** @file hexagon.c  Start and port of a Hexagon program without a C library, under Linux's system calls. */
#include "board/port.h"

#include <stdint.h>

enum { READ = 63, WRITE = 64, EXIT_GROUP = 94 };

extern int main(void);
void _start(void);

static int32_t system_call(int32_t number, int32_t a, uintptr_t b, size_t c)
{
    register int32_t r0 __asm__("r0") = a;
    register uintptr_t r1 __asm__("r1") = b;
    register size_t r2 __asm__("r2") = c;
    register int32_t r6 __asm__("r6") = number;
    __asm__ volatile("trap0(#1)" : "+r"(r0) : "r"(r1), "r"(r2), "r"(r6) : "memory");
    return r0;
}

/** A pipe moves fewer bytes than it was asked to: go on until none are left, or it ends. */
static int32_t transfer(int32_t number, int32_t file, uintptr_t address, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        const int32_t moved = system_call(number, file, address + done, bytes - done);
        if (moved <= 0) {
            break;
        }
        done += (size_t)moved;
    }
    return (int32_t)done;
}

int32_t tte_port_read(void *to, size_t bytes)
{
    return transfer(READ, 0, (uintptr_t)to, bytes);
}

int32_t tte_port_write(const void *from, size_t bytes)
{
    return transfer(WRITE, 1, (uintptr_t)from, bytes);
}

uint32_t tte_stack_high_water(void)
{
    return 0;
}

__attribute__((used, noreturn)) static void start(void)
{
    const int code = main();
    for (;;) {
        system_call(EXIT_GROUP, code, 0, 0);
    }
}

/** Vectors are spilled to the stack, aligned to their 128 bytes. */
__attribute__((naked, noreturn)) void _start(void)
{
    __asm__ volatile("{ r29 = and(r29, #-128) }\n { r30 = #0 }\n { call start }");
}
