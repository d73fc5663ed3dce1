/** @file pool.c  Threads that share the parts of a call; they begin when they are first needed, and end with the program. */
#include "tte/tte.h"

#include <pthread.h>

#ifndef TTE_THREADS
#define TTE_THREADS parts /* as many as there are parts, the caller's own included */
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static void (*todo)(void *arena, int32_t part);
static void *on;
static int32_t next, count, left, threads = 1;

/** With the lock: do parts as long as there are any. */
static void help(void)
{
    while (next < count) {
        const int32_t part = next++;
        (void)pthread_mutex_unlock(&lock);
        todo(on, part);
        (void)pthread_mutex_lock(&lock);
        if (--left == 0) {
            (void)pthread_cond_signal(&done);
        }
    }
}

static void *serve(void *unused)
{
    (void)pthread_mutex_lock(&lock);
    for (;;) {
        help();
        (void)pthread_cond_wait(&more, &lock);
    }
    return unused;
}

void tte_parallel(void (*work)(void *arena, int32_t part), void *arena, int32_t parts)
{
    pthread_t thread;
    (void)pthread_mutex_lock(&lock);
    while (threads < TTE_THREADS && pthread_create(&thread, NULL, serve, NULL) == 0) {
        (void)pthread_detach(thread);
        threads++;
    }
    todo = work;
    on = arena;
    next = 0;
    count = left = parts;
    (void)pthread_cond_broadcast(&more);
    help();
    while (left > 0) {
        (void)pthread_cond_wait(&done, &lock);
    }
    (void)pthread_mutex_unlock(&lock);
}
