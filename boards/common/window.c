/** @file window.c  Memory shared with another process: the file tte.window, which whoever starts both has made. */
#define _DEFAULT_SOURCE
#include "board/beside.h"
#include "tte/tte_queue.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>

void *tte_port_window(size_t bytes)
{
    const int file = open("tte.window", O_RDWR);
    void *const window = file < 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return window == MAP_FAILED ? NULL : window;
}

/** The other process runs already. */
int32_t tte_port_begin(void *window)
{
    return window != NULL;
}

/** Whoever started both waits for both. */
void tte_port_end(void)
{
}

void tte_yield(void)
{
    (void)sched_yield();
}
