/** @file mpu_v8m.c  The fence on ARMv8-M, whose regions have a base and a limit. */
#include "board/mcu.h"

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

enum { READ_ONLY = 3, READ_WRITE = 1, EXECUTE = 0, NEVER_EXECUTE = 1, NORMAL = 0, DEVICE = 1 };

extern char __flash_start[], __flash_size[], __sram_start[], __sram_size[];

static void region(uint32_t number, uintptr_t base, uintptr_t size, uint32_t access, uint32_t never_execute,
                   uint32_t kind)
{
    REG(0xE000ED98) = number;
    REG(0xE000ED9C) = base | access << 1 | never_execute;
    REG(0xE000EDA0) = ((base + size - 1u) & ~31u) | kind << 1 | 1u;
}

void tte_fence(void)
{
    REG(0xE000EDC0) = 0x00FFu; /* attribute 0: normal memory; attribute 1: device */
    region(0, (uintptr_t)__flash_start, (uintptr_t)__flash_size, READ_ONLY, EXECUTE, NORMAL);
    region(1, (uintptr_t)__sram_start, (uintptr_t)__sram_size, READ_WRITE, NEVER_EXECUTE, NORMAL);
    region(2, 0x40000000u, 0x20000000u, READ_WRITE, NEVER_EXECUTE, DEVICE);
    REG(0xE000ED94) = 1u; /* on, without the background region */
    __asm__ volatile("dsb\n isb" ::: "memory");
}
