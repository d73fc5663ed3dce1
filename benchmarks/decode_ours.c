/**
 * @file decode_ours.c  Times a compiled language model: MODEL is its name, CHUNK what prefill takes.
 * Arguments: how many tokens, how often. Prints for each round the seconds of decode and of prefill of those tokens,
 * then the tokens and the prompt's next one, then the logits of the latter.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "model.h"

#define JOIN(a, b) a##b
#define NAMED(a, b) JOIN(a, b)
#define OF(name) NAMED(MODEL, name)

enum { VOCAB = 512, MOST = 512 };

static _Alignas(TTE_ALIGN) unsigned char arena[ARENA];
static int32_t tokens[MOST + 1];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int32_t best(const float *logits)
{
    int32_t found = 0;
    for (int32_t i = 1; i < VOCAB; i++) {
        found = logits[i] > logits[found] ? i : found;
    }
    return found;
}

static void decode(int32_t count)
{
    for (int32_t at = 0; at < count; at++) {
        int32_t *where = OF(_decode_input)(arena, 1);
        *(int32_t *)OF(_decode_input)(arena, 0) = tokens[at];
        where[0] = at;
        where[1] = 1;
        OF(_decode)(arena);
        tokens[at + 1] = best(OF(_decode_output)(arena, 0));
    }
}

static int32_t prefill(int32_t count)
{
    for (int32_t start = 0; start < count; start += CHUNK) {
        int32_t *given = OF(_prefill_input)(arena, 0), *where = OF(_prefill_input)(arena, 1);
        for (int32_t i = 0; i < CHUNK; i++) {
            given[i] = start + i < count ? tokens[start + i] : 0;
        }
        where[0] = start;
        where[1] = count - start < CHUNK ? count - start : CHUNK;
        OF(_prefill)(arena);
    }
    return best(OF(_prefill_output)(arena, 0));
}

int main(int argc, char **argv)
{
    const int32_t count = argc > 1 ? atoi(argv[1]) : 0, rounds = argc > 2 ? atoi(argv[2]) : 0;
    if (count < 1 || count > MOST || OF(_init)(arena, sizeof arena) != TTE_OK) {
        return 1;
    }
    int32_t next = 0;
    tokens[0] = 1;
    for (int32_t i = 0; i < rounds; i++) {
        const double begun = now();
        decode(count);
        const double between = now();
        next = prefill(count);
        printf("%.9f %.9f\n", between - begun, now() - between);
    }
    for (int32_t i = 0; i <= count; i++) {
        printf("%d ", (int)tokens[i]);
    }
    printf("%d\n", (int)next);
    const float *logits = OF(_prefill_output)(arena, 0);
    for (int32_t i = 0; i < VOCAB; i++) {
        printf("%.9g ", (double)logits[i]);
    }
    return 0;
}
