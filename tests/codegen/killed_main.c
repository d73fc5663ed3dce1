/**
 * @file killed_main.c  FILE STEPS BUDGET: restores from a file, trains up to so many steps in all with a checkpoint after
 * every third, and prints the steps that it began from, then the states. It kills itself after BUDGET bytes written.
 */
#include "model.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static _Alignas(TTE_ALIGN) unsigned char arena[LEARNER_ARENA_BYTES];
static uint32_t budget;

static int32_t read_file(void *file, uint32_t at, void *to, uint32_t bytes)
{
    __builtin_memset(to, 0, bytes);
    return fseek(file, (long)at, SEEK_SET) != 0 || (fread(to, 1, bytes, file) < bytes && ferror(file));
}

static int32_t write_file(void *file, uint32_t at, const void *from, uint32_t bytes)
{
    const uint32_t n = bytes < budget ? bytes : budget;
    const int32_t failed = fseek(file, (long)at, SEEK_SET) != 0 || fwrite(from, 1, n, file) < n || fflush(file) != 0;
    budget -= n;
    if (n < bytes) {
        raise(SIGKILL);
    }
    return failed;
}

static int32_t sync_file(void *file)
{
    return fsync(fileno(file));
}

int main(int count, char **given)
{
    FILE *const file = count == 4 ? fopen(given[1], "r+b") : NULL;
    const tte_storage storage = {file, 1, read_file, write_file, sync_file};
    if (file == NULL || learner_init(arena, sizeof arena) != TTE_OK) {
        return 1;
    }
    budget = (uint32_t)strtoul(given[3], NULL, 10);
    const tte_status status = learner_restore(arena, &storage);
    const int32_t *const step = (const int32_t *)(arena + LEARNER_CLOCK_OFFSET);
    if (status != TTE_OK && status != TTE_ERR_EMPTY) {
        return 2;
    }
    fwrite(step, sizeof *step, 1, stdout);
    while (*step < atoi(given[2])) {
        int8_t *const x = learner_train_step_input(arena, 0);
        for (int32_t i = 0; i < 5; i++) {
            x[i] = (int8_t)((*step * 51 + i * 33) % 256 - 128);
        }
        if (learner_train_step(arena, *step % 3, NULL) != TTE_OK ||
            (*step % 3 == 0 && learner_checkpoint(arena, &storage) != TTE_OK)) {
            return 3;
        }
    }
    fwrite(arena, LEARNER_STATES_BYTES, 1, stdout);
    return 0;
}
