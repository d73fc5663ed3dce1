/** @file hosted.c  The port for a process under an operating system: stdin and stdout. */
#include "board/port.h"

#include <stdio.h>

int32_t tte_port_read(void *to, size_t bytes)
{
    return (int32_t)fread(to, 1, bytes, stdin);
}

int32_t tte_port_write(const void *from, size_t bytes)
{
    const int32_t written = (int32_t)fwrite(from, 1, bytes, stdout);
    (void)fflush(stdout);
    return written;
}

uint32_t tte_stack_high_water(void)
{
    return 0;
}
