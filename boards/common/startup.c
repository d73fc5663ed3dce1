/** @file startup.c  Start-up of a microcontroller: .data, .bss, the fence, main; and the stack's high-water mark. */
#include "board/mcu.h"
#include "board/port.h"

#include <stdint.h>

extern uint32_t __stack_top[], __stack_limit[], __data_load[], __data_start[], __data_end[], __bss_start[], __bss_end[];
extern int main(void);

_Noreturn void tte_start(void)
{
    const uint32_t *from = __data_load;
    for (uint32_t *to = __data_start; to < __data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = __bss_start; to < __bss_end; to++) {
        *to = 0;
    }
    tte_fence();
    tte_exit(main());
}

uint32_t tte_stack_high_water(void)
{
    const uint32_t *p = __stack_limit;
    while (p < __stack_top && *p == TTE_PAINT) {
        p++;
    }
    return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)p);
}
