/** @file cortexm.c  Vectors of a Cortex-M, its reset and its faults. */
#include "board/mcu.h"

#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define CFSR REG(0xE000ED28)

extern uint32_t __stack_top[];

int32_t tte_semihost(uint32_t request, const void *argument)
{
    register uint32_t r0 __asm__("r0") = request;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

__attribute__((used, noreturn)) static void exception(void)
{
    tte_fault((CFSR & 0xFFFFu) != 0u); /* the bytes of MemManage and BusFault */
}

/** The stack pointer may have left sram: reset it first. */
__attribute__((naked)) static void exception_entry(void)
{
    __asm__ volatile("ldr r0, =__stack_top\n mov sp, r0\n b exception");
}

__attribute__((used, noreturn)) static void start(void)
{
    REG(0xE000ED88) |= 0xFu << 20; /* CPACR: FPU and MVE, no effect without */
    REG(0xE000ED24) |= 7u << 16;   /* SHCSR: MemManage, BusFault, UsageFault */
    __asm__ volatile("dsb\n isb" ::: "memory");
    tte_start();
}

__attribute__((naked)) void tte_reset(void)
{
    __asm__ volatile("ldr r0, =__stack_limit\n ldr r1, =__stack_top\n ldr r2, =%0\n"
                     "1: str r2, [r0], #4\n cmp r0, r1\n bne 1b\n"
                     "mov sp, r1\n b start" ::"i"(TTE_PAINT));
}

typedef void (*vector)(void);
__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    (vector)(uintptr_t)__stack_top, tte_reset,       exception_entry, exception_entry,
    exception_entry,                exception_entry, exception_entry, exception_entry,
    exception_entry,                exception_entry, exception_entry, exception_entry,
    exception_entry,                exception_entry, exception_entry, exception_entry};
