/** @file board_main.c  A program that does what its input says: a letter, then the letter's argument. */
#include "board/port.h"

#ifndef BIG
#define BIG 4
#endif

#if defined __thumb__
#define DEC_AND_LOOP "1: subs r0, #1\n bne 1b\n"
#define NOP "nop\n"
#define RETURN "bx lr\n"
#elif defined __riscv
#define DEC_AND_LOOP "1: addi a0, a0, -1\n bnez a0, 1b\n"
#define NOP "nop\n"
#define RETURN "ret\n"
#elif defined __aarch64__
#define DEC_AND_LOOP "1: subs w0, w0, #1\n b.ne 1b\n"
#define NOP "nop\n"
#define RETURN "ret\n"
#elif defined __hexagon__
#define DEC_AND_LOOP "1: { r0 = add(r0, #-1) }\n { p0 = cmp.eq(r0, #0); if (!p0.new) jump:nt 1b }\n"
#define NOP "{ nop }\n"
#define RETURN "{ jumpr r31 }\n"
#else
#define DEC_AND_LOOP "1: sub $1, %edi\n jne 1b\n"
#define NOP "nop\n"
#define RETURN "ret\n"
#endif

#if defined __thumb__
#define FUNCTION(name) ".thumb_func\n.type " name ", %function\n" name ":\n"
#else
#define FUNCTION(name) ".type " name ", @function\n" name ":\n"
#endif

/* step_b lies in the middle of a straight run of code: 2 after step_a; step_c comes 1 + 2n after step_b. */
__asm__(".section .text.steps, \"ax\"\n.balign 4\n.globl step_a\n" FUNCTION("step_a") NOP NOP FUNCTION("step_b") NOP
            DEC_AND_LOOP FUNCTION("step_c") RETURN ".text\n");
extern void step_a(uint32_t n);

static volatile uint32_t initialised = 0x12345678u;
static volatile unsigned char zeroed[BIG];

/** Uses 512 bytes of stack for each level. */
__attribute__((noinline)) static uint32_t deep(uint32_t levels)
{
    volatile unsigned char frame[512];
    frame[0] = (unsigned char)levels;
    frame[511] = 1;
    const uint32_t below = levels == 0u ? 0u : deep(levels - 1u);
    return below + frame[511]; /* read after the call, so that every level keeps its frame */
}

static void echo(void)
{
    unsigned char buffer[100];
    int32_t n;
    while ((n = tte_port_read(buffer, sizeof buffer)) > 0) {
        tte_port_write(buffer, (size_t)n);
    }
}

static void answer(uint32_t word)
{
    tte_port_write(&word, sizeof word);
}

/** What compilers may turn into calls, or into vectors: 64 results of each of three operations, and of two in 64 bits. */
static void arithmetic(void)
{
    static float a[64], b[64], results[3][64];
    static int64_t c[64], d[64], integers[64];
    static double e[64], f[64], doubles[64];
    tte_port_read(a, sizeof a);
    tte_port_read(b, sizeof b);
    tte_port_read(c, sizeof c);
    tte_port_read(d, sizeof d);
    tte_port_read(e, sizeof e);
    tte_port_read(f, sizeof f);
    for (int i = 0; i < 64; i++) {
        results[0][i] = a[i] / b[i];
    }
    for (int i = 0; i < 64; i++) {
        results[1][i] = __builtin_sqrtf(a[i]);
    }
    for (int i = 0; i < 64; i++) {
        results[2][i] = a[i] * b[i] + b[i];
    }
    for (int i = 0; i < 64; i++) {
        integers[i] = c[i] / d[i] ^ c[i] % d[i] ^ (int32_t)c[i] / ((int32_t)d[i] | 1);
        doubles[i] = e[i] / f[i];
    }
    tte_port_write(results, sizeof results);
    tte_port_write(integers, sizeof integers);
    tte_port_write(doubles, sizeof doubles);
}

int main(void)
{
    unsigned char letter = 0;
    uint32_t argument = 0;
    tte_port_read(&letter, 1);
    if (letter == 'e') {
        echo();
        return 7;
    }
    if (letter == 'a') {
        arithmetic();
        return 0;
    }
    tte_port_read(&argument, sizeof argument);
    if (letter == 'm') {
        tte_mark();
        step_a(argument);
        tte_mark();
    } else if (letter == 's') {
        answer(deep(argument));
        answer(tte_stack_high_water());
    } else if (letter == 'd') {
        answer(initialised + zeroed[BIG - 1]);
        initialised = 1;
        zeroed[0] = 1;
    } else if (letter == 'w') {
        *(volatile uint32_t *)(uintptr_t)argument = 1;
    } else if (letter == 'r') {
        answer(*(volatile uint32_t *)(uintptr_t)argument);
    } else if (letter == 'x') {
        ((void (*)(void))(uintptr_t)argument)();
    } else if (letter == 'u') {
        __builtin_trap();
    } else if (letter == 'l') {
        for (;;) {
            tte_mark();
        }
    }
    return 0;
}
