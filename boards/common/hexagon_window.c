/** @file hexagon_window.c  The main program of a Hexagon beside a cpu, whose memory is the file tte.window. */
#include "board/beside.h"
#include "tte/tte_queue.h"

enum { OPEN_AT = 56, EXIT_GROUP = 94, SCHED_YIELD = 124, GET_PARENT = 173, MAP = 222 };
enum { HERE = -100, READ_WRITE = 2, MAY_READ_AND_WRITE = 3, SHARED = 1, ERRORS = -4096, ORPHAN = 3 };

int main(void);

static int32_t parent;

static int32_t system_call(int32_t number, int32_t a, uintptr_t b, int32_t c, int32_t d, int32_t e)
{
    register int32_t r0 __asm__("r0") = a;
    register uintptr_t r1 __asm__("r1") = b;
    register int32_t r2 __asm__("r2") = c;
    register int32_t r3 __asm__("r3") = d;
    register int32_t r4 __asm__("r4") = e;
    register int32_t r5 __asm__("r5") = 0;
    register int32_t r6 __asm__("r6") = number;
    __asm__ volatile("trap0(#1)" : "+r"(r0) : "r"(r1), "r"(r2), "r"(r3), "r"(r4), "r"(r5), "r"(r6) : "memory");
    return r0;
}

void *tte_port_window(size_t bytes)
{
    const int32_t file = system_call(OPEN_AT, HERE, (uintptr_t) "tte.window", READ_WRITE, 0, 0);
    const int32_t at = file < 0 ? file : system_call(MAP, 0, bytes, MAY_READ_AND_WRITE, SHARED, file);
    return at < 0 && at > ERRORS ? NULL : (void *)(uintptr_t)at;
}

/** Whoever started this is gone: nobody would ever end it. */
void tte_yield(void)
{
    (void)system_call(SCHED_YIELD, 0, 0, 0, 0, 0);
    if (system_call(GET_PARENT, 0, 0, 0, 0, 0) != parent) {
        (void)system_call(EXIT_GROUP, ORPHAN, 0, 0, 0, 0);
    }
}

int main(void)
{
    parent = system_call(GET_PARENT, 0, 0, 0, 0, 0);
    void *const window = tte_port_window(tte_window_bytes);
    if (window == NULL) {
        return 1;
    }
    tte_serve(window);
    return 0;
}
