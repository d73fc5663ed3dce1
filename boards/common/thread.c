/** @file thread.c  A unit beside the cpu that is a thread of the same program. */
#include "board/beside.h"
#include "tte/tte_queue.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

static pthread_t thread;

static void *serve(void *window)
{
    tte_serve(window);
    return NULL;
}

void *tte_port_window(size_t bytes)
{
    return calloc(1, bytes);
}

int32_t tte_port_begin(void *window)
{
    return pthread_create(&thread, NULL, serve, window) == 0;
}

void tte_port_end(void)
{
    (void)pthread_join(thread, NULL);
}

void tte_yield(void)
{
    (void)sched_yield();
}
