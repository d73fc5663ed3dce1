/**
 * @file tte_queue.h  How the cpu hands jobs to another unit: a queue in memory that both see.
 *
 * One gives and one takes. Each counter has one writer. What was written before a counter was raised (release) is seen
 * by whoever has read that count (acquire), so that a job's operands, and its results, need no more care.
 */
#ifndef TTE_QUEUE_H
#define TTE_QUEUE_H

#include "tte/tte.h"

#define TTE_QUEUE_JOBS 8u /* that may be given and not done */
#define TTE_QUEUE_STOP UINT32_MAX /* the number that ends the unit's work */

typedef struct {
    uint32_t given; /* jobs so far, modulo 2^32; written by the cpu */
    uint32_t done;  /* likewise; written by the unit, which does them in order */
    uint32_t jobs[TTE_QUEUE_JOBS];
} tte_queue;

/** Lets others run, as the port knows how. */
void tte_yield(void);

/** Nothing is under way, whatever the memory held. Not while the unit works. */
TTE_INLINE void tte_queue_init(tte_queue *queue)
{
    queue->given = queue->done;
}

/** Hand over a job, waiting for a free place; returns what to wait for. */
TTE_INLINE uint32_t tte_queue_give(tte_queue *queue, uint32_t job)
{
    const uint32_t given = queue->given;
    while (given - __atomic_load_n(&queue->done, __ATOMIC_ACQUIRE) >= TTE_QUEUE_JOBS) {
        tte_yield();
    }
    queue->jobs[given % TTE_QUEUE_JOBS] = job;
    __atomic_store_n(&queue->given, given + 1u, __ATOMIC_RELEASE);
    return given + 1u;
}

/** Wait until a job, and all before it, are done. */
TTE_INLINE void tte_queue_wait(const tte_queue *queue, uint32_t ticket)
{
    while ((int32_t)(__atomic_load_n(&queue->done, __ATOMIC_ACQUIRE) - ticket) < 0) {
        tte_yield();
    }
}

/** The unit's side: the number of the next job, which it then does and tells done. */
TTE_INLINE uint32_t tte_queue_next(const tte_queue *queue)
{
    while (__atomic_load_n(&queue->given, __ATOMIC_ACQUIRE) == queue->done) {
        tte_yield();
    }
    return queue->jobs[queue->done % TTE_QUEUE_JOBS];
}

/** The unit's side: the job is done. */
TTE_INLINE void tte_queue_done(tte_queue *queue)
{
    __atomic_store_n(&queue->done, queue->done + 1u, __ATOMIC_RELEASE);
}

#endif
