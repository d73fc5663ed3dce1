/** @file riscv32.c  Reset, traps and fence of a 32-bit RISC-V in machine mode. */
#include "board/mcu.h"

#include <stdint.h>

#define CSR_WRITE(name, value) __asm__ volatile(".option arch, +zicsr\n csrw " name ", %0" ::"r"(value) : "memory")

enum { READ = 1, WRITE = 2, EXECUTE = 4, NAPOT = 0x18, LOCKED = 0x80 };

extern char __flash_start[], __flash_size[], __sram_start[], __sram_size[];

/** The three instructions that stand for a request, uncompressed and within one page. */
__attribute__((naked, noinline, aligned(16))) int32_t tte_semihost(uint32_t request, const void *argument)
{
    (void)request;
    (void)argument;
    __asm__ volatile(".option push\n .option norvc\n"
                     "slli x0, x0, 0x1f\n ebreak\n srai x0, x0, 7\n ret\n"
                     ".option pop");
}

__attribute__((used, noreturn)) static void exception(uint32_t cause)
{
    tte_fault(cause == 1u || cause == 5u || cause == 7u); /* fetch, load and store access faults */
}

/** The stack pointer may have left sram: reset it first. */
__attribute__((naked, aligned(4))) static void exception_entry(void)
{
    __asm__ volatile(".option arch, +zicsr\n la sp, __stack_top\n csrr a0, mcause\n j exception");
}

/** A naturally aligned power of two, as PMP writes it; sizes are rounded up to one. */
static uint32_t napot(uintptr_t base, uintptr_t size)
{
    return (uint32_t)(base >> 2 | ((1u << (32 - __builtin_clz(size - 1u))) / 8u - 1u));
}

/** Locked entries bind machine mode too; the last one refuses whatever the others leave. Peripherals are not used. */
void tte_fence(void)
{
    const uint32_t flash = LOCKED | NAPOT | READ | EXECUTE, sram = LOCKED | NAPOT | READ | WRITE, rest = LOCKED | NAPOT;
    CSR_WRITE("pmpaddr0", napot((uintptr_t)__flash_start, (uintptr_t)__flash_size));
    CSR_WRITE("pmpaddr1", napot((uintptr_t)__sram_start, (uintptr_t)__sram_size));
    CSR_WRITE("pmpaddr2", UINT32_MAX);
    CSR_WRITE("pmpcfg0", rest << 16 | sram << 8 | flash);
}

__attribute__((used, noreturn)) static void start(void)
{
    CSR_WRITE("mtvec", exception_entry);
    tte_start();
}

__attribute__((naked, section(".vectors"))) void tte_reset(void)
{
    __asm__ volatile("la a0, __stack_limit\n la sp, __stack_top\n li a1, %0\n"
                     "1: sw a1, 0(a0)\n addi a0, a0, 4\n bltu a0, sp, 1b\n"
                     "j start" ::"i"(TTE_PAINT));
}
