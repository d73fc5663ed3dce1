/** @file memory.c  memcpy, memmove and memset, which compilers call, for boards without a C library. */
#include <stddef.h>
#include <stdint.h>

/* Keeps a loop from being recognised as the very function that it implements. */
#define STAYS_A_LOOP() __asm__ volatile("" ::: "memory")

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

static int aligned(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) & 3u) == 0u;
}

/** Also right where `to` lies below `from` and they overlap, which is what memmove needs. */
static void copy_up(unsigned char *to, const unsigned char *from, size_t bytes)
{
    if (aligned(to, from)) {
        for (; bytes >= 4u; bytes -= 4u, to += 4, from += 4) {
            *(uint32_t *)(void *)to = *(const uint32_t *)(const void *)from;
            STAYS_A_LOOP();
        }
    }
    for (; bytes != 0u; bytes--) {
        *to++ = *from++;
        STAYS_A_LOOP();
    }
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    copy_up(to, from, bytes);
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    unsigned char *a = to;
    const unsigned char *b = from;
    if ((uintptr_t)a - (uintptr_t)b >= bytes) {
        copy_up(a, b, bytes);
        return to;
    }
    while (bytes != 0u) {
        bytes--;
        a[bytes] = b[bytes];
        STAYS_A_LOOP();
    }
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    unsigned char *p = to;
    const uint32_t word = (uint32_t)(unsigned char)value * 0x01010101u;
    if (aligned(to, to)) {
        for (; bytes >= 4u; bytes -= 4u, p += 4) {
            *(uint32_t *)(void *)p = word;
            STAYS_A_LOOP();
        }
    }
    for (; bytes != 0u; bytes--) {
        *p++ = (unsigned char)value;
        STAYS_A_LOOP();
    }
    return to;
}
