/** @file mpu_v7m.c  The fence on ARMv7-M, whose regions are powers of two. */
#include "board/mcu.h"

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

enum { READ_ONLY = 6, READ_WRITE = 3, EXECUTE = 0, NEVER_EXECUTE = 1 };

extern char __flash_start[], __flash_size[], __sram_start[], __sram_size[];

static void region(uint32_t number, uintptr_t base, uintptr_t size, uint32_t access, uint32_t never_execute)
{
    uint32_t log = 31u - (uint32_t)__builtin_clz(size), disabled = 0;
    if ((size & (size - 1u)) != 0u) { /* eighths of the next power of two, rounded up: 320K is 5/8 of 512K */
        log++;
        const uintptr_t eighth = (1u << log) / 8u;
        disabled = (0xFFu << ((size + eighth - 1u) / eighth)) & 0xFFu;
    }
    REG(0xE000ED98) = number;
    REG(0xE000ED9C) = base;
    REG(0xE000EDA0) = never_execute << 28 | access << 24 | 8u << 16 | disabled << 8 | (log - 1u) << 1 | 1u;
}

void tte_fence(void)
{
    region(0, (uintptr_t)__flash_start, (uintptr_t)__flash_size, READ_ONLY, EXECUTE);
    region(1, (uintptr_t)__sram_start, (uintptr_t)__sram_size, READ_WRITE, NEVER_EXECUTE);
    region(2, 0x40000000u, 0x20000000u, READ_WRITE, NEVER_EXECUTE);
    REG(0xE000ED94) = 1u; /* on, without the background region */
    __asm__ volatile("dsb\n isb" ::: "memory");
}
