/**
 * @file checkpoint_main.c  Cuts the power at every byte and every sync of a checkpoint, and trains on from what is left.
 * Reads a block size and what a cut leaves (u32 each); writes how often it cut, how often the newer states were found
 * again, and how often anything was wrong. The older states are found in all other cuts.
 */
#include "board/port.h"
#include "model.h"

enum { PREFIX, GARBAGE, UNSYNCED };                  /* what a cut leaves: see die() */
enum { STEPS = 3, BEFORE = 3, SLOT = LEARNER_EXPORT_BYTES + 64 }; /* steps between checkpoints; good ones before a cut */

static _Alignas(TTE_ALIGN) unsigned char arena[LEARNER_ARENA_BYTES];
static unsigned char seen[BEFORE + 3][LEARNER_STATES_BYTES]; /* states after so many times STEPS, never interrupted */
static unsigned char memory[2 * SLOT], unsynced[2 * SLOT];
static uint32_t block, leaves, left, last, dead, noise = 1, wrong;

static void garble(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to && i < sizeof memory; i++) {
        noise = noise * 1664525u + 1013904223u;
        memory[i] = (unsigned char)(noise >> 24);
    }
}

/** The power fails at address `at`, up to which all was written. */
static int32_t die(uint32_t at)
{
    dead = 1;
    if (leaves != PREFIX) {
        garble(at / block * block, at / block * block + block);
    }
    for (uint32_t i = 0; i < sizeof memory && leaves == UNSYNCED; i++) {
        garble(i, i + unsynced[i]);
    }
    return 1;
}

static int32_t read_memory(void *context, uint32_t at, void *to, uint32_t bytes)
{
    (void)context;
    wrong += at + bytes > sizeof memory;
    __builtin_memcpy(to, memory + at, bytes);
    return 0;
}

static int32_t write_memory(void *context, uint32_t at, const void *from, uint32_t bytes)
{
    (void)context;
    wrong += dead || at + bytes > sizeof memory;
    const uint32_t n = bytes < left ? bytes : left;
    __builtin_memcpy(memory + at, from, n);
    __builtin_memset(unsynced + at, 1, n);
    left -= n;
    last = at + n - (n != 0);
    return n < bytes ? die(at + n) : 0;
}

static int32_t sync_memory(void *context)
{
    (void)context;
    wrong += dead;
    if (left == 0) {
        return die(last);
    }
    left--;
    __builtin_memset(unsynced, 0, sizeof unsynced);
    return 0;
}

static void train(uint32_t round)
{
    for (uint32_t s = 0; s < STEPS; s++) {
        int8_t *const x = learner_train_step_input(arena, 0);
        for (uint32_t i = 0; i < 5; i++) {
            x[i] = (int8_t)((round * 70 + s * 51 + i * 33) % 256 - 128);
        }
        wrong += learner_set_rate(arena, 0.1f / (float)(round + 1)) != TTE_OK;
        wrong += learner_train_step(arena, (int32_t)(s % 3), NULL) != TTE_OK;
    }
}

static int same(uint32_t round)
{
    return __builtin_memcmp(arena, seen[round], LEARNER_STATES_BYTES) == 0;
}

static void start(void)
{
    __builtin_memset(arena, 0x5A, sizeof arena);
    wrong += learner_init(arena, sizeof arena) != TTE_OK;
    wrong += learner_set_seed(arena, 12345) != TTE_OK;
}

/** So many good checkpoints, one that is cut after `budget` bytes and syncs, and on: 1 if it was not cut. */
static uint32_t cut(const tte_storage *storage, uint32_t good, uint32_t budget, uint32_t *newer)
{
    dead = 0;
    garble(0, sizeof memory);
    __builtin_memset(unsynced, 0, sizeof unsynced);
    start();
    wrong += learner_restore(arena, storage) != TTE_ERR_EMPTY || !same(0);
    for (uint32_t round = 0; round <= good; round++) {
        train(round);
        left = round < good ? UINT32_MAX : budget;
        const tte_status status = learner_checkpoint(arena, storage);
        wrong += status != (dead ? TTE_ERR_STORAGE : TTE_OK);
    }
    const uint32_t whole = !dead;
    start();
    dead = 0;
    left = UINT32_MAX;
    const tte_status status = learner_restore(arena, storage);
    const uint32_t at = status == TTE_OK && same(good + 1) ? good + 1 : good;
    wrong += status != (at == 0 ? TTE_ERR_EMPTY : TTE_OK) || !same(at) || (whole && at == good);
    *newer += at > good;
    for (uint32_t round = at; round < BEFORE + 2; round++) {
        train(round);
        wrong += learner_checkpoint(arena, storage) != TTE_OK || !same(round + 1);
        start();
        wrong += learner_restore(arena, storage) != TTE_OK || !same(round + 1);
    }
    return whole;
}

/** After two checkpoints, change each byte of the memory in turn: one of the two is found. */
static void rot(const tte_storage *storage)
{
    left = UINT32_MAX;
    start();
    for (uint32_t round = 0; round < 2; round++) {
        train(round);
        wrong += learner_checkpoint(arena, storage) != TTE_OK;
    }
    for (uint32_t i = 0; i < sizeof memory; i++) {
        memory[i] ^= 0x40u;
        start();
        wrong += learner_restore(arena, storage) != TTE_OK || (!same(1) && !same(2));
        memory[i] ^= 0x40u;
    }
}

int main(void)
{
    uint32_t told[3] = {0, 0, 0};
    tte_port_read(&block, sizeof block);
    tte_port_read(&leaves, sizeof leaves);
    const tte_storage storage = {NULL, block, read_memory, write_memory, sync_memory};
    start();
    for (uint32_t round = 0; round < BEFORE + 3; round++) {
        __builtin_memcpy(seen[round], arena, LEARNER_STATES_BYTES);
        train(round);
    }
    for (uint32_t good = 0; good <= BEFORE; good++) {
        for (uint32_t budget = 0; !cut(&storage, good, budget, &told[1]); budget++) {
            told[0]++;
        }
    }
    rot(&storage);
    told[2] = wrong;
    tte_port_write(told, sizeof told);
    return 0;
}
