/**
 * @file tte_prompt.h  A prompt in chunks, whose stages two units run in the order of a table.
 *
 * The stages of a chunk are a chain, the cpu's the even ones and the other unit's the odd ones; so the counter of a
 * chunk has one writer at a time. A task is a stage of a chunk: chunk * stages + stage.
 */
#ifndef TTE_PROMPT_H
#define TTE_PROMPT_H

#include "tte/tte_queue.h"

#define TTE_PROMPT_CHUNKS 8u /* of which a table may tell */
#define TTE_QUEUE_PROMPT (UINT32_MAX - 1u) /* the number of the job to do the unit's part of a table */

/** What a chunk goes through. */
typedef struct {
    uint32_t count;        /* stages of the last chunk */
    uint32_t early;        /* of those before it, from which nobody asks for results */
    uint32_t windows;      /* chunks that may be under way */
    const uint16_t *after; /* by stage, how many of the chunk before must be done */
} tte_stages;

/** The tasks of a unit, in the order in which it runs them. */
typedef struct {
    const uint16_t *tasks;
    uint32_t count;
} tte_order;

/** Those of the cpu, and of the unit beside it. */
typedef struct {
    tte_order cpu, npu;
} tte_table;

/** What both units see of the prompt that is under way. */
typedef struct {
    uint32_t chunks;
    uint32_t count;                   /* of the tasks below */
    uint32_t broken;                  /* TTE_CHECK: a task began too early */
    uint32_t done[TTE_PROMPT_CHUNKS]; /* by chunk, its stages so far */
    uint16_t tasks[];                 /* of the unit beside the cpu */
} tte_prompt;

/** Run one task. */
typedef void tte_prompt_run(void *context, uint32_t chunk, uint32_t stage);

/** Stages of a chunk. */
TTE_INLINE uint32_t tte_prompt_stages(const tte_stages *s, const tte_prompt *p, uint32_t chunk)
{
    return chunk + 1u < p->chunks ? s->early : s->count;
}

/** Stages that a chunk has behind it. */
TTE_INLINE uint32_t tte_prompt_done(const tte_prompt *p, uint32_t chunk)
{
    return __atomic_load_n(&p->done[chunk], __ATOMIC_ACQUIRE);
}

/** Whether all is done that a task waits for, and itself is not. */
TTE_INLINE int32_t tte_prompt_ready(const tte_stages *s, const tte_prompt *p, uint32_t chunk, uint32_t stage)
{
    return tte_prompt_done(p, chunk) == stage && (chunk == 0 || tte_prompt_done(p, chunk - 1u) >= s->after[stage])
        && (stage > 0 || chunk < s->windows || tte_prompt_done(p, chunk - s->windows) == s->early);
}

/** Run a unit's tasks, each as soon as it is ready. */
TTE_INLINE void tte_prompt_follow(const tte_stages *s, tte_prompt *p, tte_order order, tte_prompt_run *run,
                                  void *context)
{
    for (uint32_t i = 0; i < order.count; i++) {
        const uint32_t chunk = order.tasks[i] / s->count, stage = order.tasks[i] % s->count;
        while (!tte_prompt_ready(s, p, chunk, stage)) {
            tte_yield();
        }
#if TTE_CHECK
        if (!tte_prompt_ready(s, p, chunk, stage)) {
            __atomic_store_n(&p->broken, 1u, __ATOMIC_RELAXED);
        }
#endif
        run(context, chunk, stage);
        __atomic_store_n(&p->done[chunk], stage + 1u, __ATOMIC_RELEASE);
    }
}

/** Forget the prompt before. Not while a unit works. */
TTE_INLINE void tte_prompt_begin(tte_prompt *p, uint32_t chunks)
{
    p->chunks = chunks;
    p->broken = 0;
    for (uint32_t k = 0; k < TTE_PROMPT_CHUNKS; k++) {
        __atomic_store_n(&p->done[k], 0u, __ATOMIC_RELAXED);
    }
}

/** Whether all chunks are done. */
TTE_INLINE int32_t tte_prompt_over(const tte_stages *s, const tte_prompt *p)
{
    uint32_t over = 0;
    for (uint32_t k = 0; k < p->chunks; k++) {
        over += tte_prompt_done(p, k) == tte_prompt_stages(s, p, k);
    }
    return over == p->chunks;
}

#if TTE_CHECK
/** Go through a unit's tasks from the i-th on, as long as they are its own and ready; how far that is. */
TTE_INLINE uint32_t tte_prompt_pass(const tte_stages *s, tte_prompt *p, tte_order order, uint32_t i, uint32_t unit)
{
    for (; i < order.count; i++) {
        const uint32_t chunk = order.tasks[i] / s->count, stage = order.tasks[i] % s->count;
        if (chunk >= p->chunks || stage >= tte_prompt_stages(s, p, chunk) || stage % 2u != unit
            || !tte_prompt_ready(s, p, chunk, stage)) {
            break;
        }
        p->done[chunk]++;
    }
    return i;
}

/** Whether a table holds each task once, on its own unit, and in an order that comes to an end. */
TTE_INLINE int32_t tte_prompt_legal(const tte_stages *s, tte_prompt *p, const tte_table *table)
{
    uint32_t cpu = 0, npu = 0, before;
    do {
        before = cpu + npu;
        cpu = tte_prompt_pass(s, p, table->cpu, cpu, 0);
        npu = tte_prompt_pass(s, p, table->npu, npu, 1);
    } while (cpu + npu > before);
    const int32_t legal = cpu == table->cpu.count && npu == table->npu.count && tte_prompt_over(s, p);
    tte_prompt_begin(p, p->chunks);
    return legal;
}
#endif

#endif
