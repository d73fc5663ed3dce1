/**
 * @file tte_checkpoint.h  States that outlive the power: a sealed block of bytes, and two slots of storage for it.
 *
 * A sealed block is the states as they lie in the arena, followed by a tte_seal. A checkpoint overwrites the older of
 * two slots and leaves the newer one alone; the seal is written last, when the states are safely there. So whatever a
 * torn write leaves in its slot, the other one is whole.
 */
#ifndef TTE_CHECKPOINT_H
#define TTE_CHECKPOINT_H

#include "tte/tte.h"

/**
 * A memory that keeps what is written to it, provided by the caller; functions return 0 if all went well.
 *
 * A slot begins at a multiple of `block`: the bytes that a write may destroy when the power fails, such as the erase
 * block of a flash; 1 where that is just the bytes being written. Within a checkpoint addresses only rise, without gaps,
 * and each byte is written once: a driver for flash erases a block when its first byte is written. `sync` returns when
 * all that was written would survive. `read` of what a torn write left may return any bytes.
 */
typedef struct {
    void *context;
    uint32_t block;
    int32_t (*read)(void *context, uint32_t at, void *to, uint32_t bytes);
    int32_t (*write)(void *context, uint32_t at, const void *from, uint32_t bytes);
    int32_t (*sync)(void *context);
} tte_storage;

/** Follows the states: whose they are, how many bytes, a number that rises from checkpoint to checkpoint, CRC-32 of all. */
typedef struct { uint32_t model, bytes, sequence, crc; } tte_seal;

/** The two slots as found: whether any is whole, and the place and sequence of the newest that is. */
typedef struct { uint32_t whole, slot, sequence; } tte_slots;

/** CRC-32 (polynomial 0x04C11DB7 reflected, as in zlib) of `bytes` bytes, continuing from that of what comes before. */
static inline uint32_t tte_crc32(uint32_t crc, const void *data, uint32_t bytes)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
        0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu,
    };
    const uint8_t *const p = data;
    crc = ~crc;
    for (uint32_t i = 0; i < bytes; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ table[crc & 15u];
        crc = crc >> 4 ^ table[crc & 15u];
    }
    return ~crc;
}

/** The CRC of a sealed block, from that of its states. */
static inline uint32_t tte_seal_crc(uint32_t crc, const tte_seal *seal)
{
    return tte_crc32(crc, seal, offsetof(tte_seal, crc));
}

/** The seal of states. */
static inline tte_seal tte_seal_of(const void *states, uint32_t bytes, uint32_t model, uint32_t sequence)
{
    tte_seal seal = {model, bytes, sequence, 0};
    seal.crc = tte_seal_crc(tte_crc32(0, states, bytes), &seal);
    return seal;
}

/** Write a sealed block to `to`, which may have any alignment. */
static inline void tte_export(const void *states, uint32_t bytes, uint32_t model, void *to)
{
    const tte_seal seal = tte_seal_of(states, bytes, model, 0);
    __builtin_memcpy(to, states, bytes);
    __builtin_memcpy((uint8_t *)to + bytes, &seal, sizeof seal);
}

/** Take states from a sealed block; they stay as they were if it is another model's, or damaged. */
static inline tte_status tte_import(void *states, uint32_t bytes, uint32_t model, const void *from)
{
    tte_seal seal;
    __builtin_memcpy(&seal, (const uint8_t *)from + bytes, sizeof seal);
    if (seal.model != model || seal.bytes != bytes) {
        return TTE_ERR_MODEL;
    }
    if (seal.crc != tte_seal_crc(tte_crc32(0, from, bytes), &seal)) {
        return TTE_ERR_CRC;
    }
    __builtin_memcpy(states, from, bytes);
    return TTE_OK;
}

/** Bytes from one slot to the next. */
static inline uint32_t tte_slot_bytes(const tte_storage *storage, uint32_t bytes)
{
    const uint32_t used = bytes + (uint32_t)sizeof(tte_seal), block = storage->block ? storage->block : 1u;
    return (used + block - 1u) / block * block;
}

/** Read the slot at `at`: whether it is whole, and its sequence. */
static inline tte_status tte_read_slot(const tte_storage *storage, uint32_t at, uint32_t bytes, uint32_t model,
                                       uint32_t *whole, uint32_t *sequence)
{
    tte_seal seal;
    uint8_t part[64];
    uint32_t crc = 0;
    *whole = 0;
    if (storage->read(storage->context, at + bytes, &seal, (uint32_t)sizeof seal) != 0) {
        return TTE_ERR_STORAGE;
    }
    if (seal.model != model || seal.bytes != bytes) {
        return TTE_OK;
    }
    for (uint32_t done = 0; done < bytes;) {
        const uint32_t left = bytes - done, n = left < sizeof part ? left : (uint32_t)sizeof part;
        if (storage->read(storage->context, at + done, part, n) != 0) {
            return TTE_ERR_STORAGE;
        }
        crc = tte_crc32(crc, part, n);
        done += n;
    }
    *whole = seal.crc == tte_seal_crc(crc, &seal);
    *sequence = seal.sequence;
    return TTE_OK;
}

/** Find the newest whole slot. Sequences wrap around; two neighbours' difference tells which is newer. */
static inline tte_status tte_find_newest(const tte_storage *storage, uint32_t bytes, uint32_t model, tte_slots *found)
{
    *found = (tte_slots){0, 1, 0};
    for (uint32_t slot = 0; slot < 2; slot++) {
        uint32_t whole, sequence = 0;
        const uint32_t at = slot * tte_slot_bytes(storage, bytes);
        const tte_status status = tte_read_slot(storage, at, bytes, model, &whole, &sequence);
        if (status != TTE_OK) {
            return status;
        }
        if (whole && (!found->whole || (int32_t)(sequence - found->sequence) > 0)) {
            *found = (tte_slots){1, slot, sequence};
        }
    }
    return TTE_OK;
}

/** Keep states. Nothing is written unless both slots could be read, so that the newest is never the one overwritten. */
static inline tte_status tte_checkpoint(const void *states, uint32_t bytes, uint32_t model, const tte_storage *storage)
{
    tte_slots found;
    const tte_status status = tte_find_newest(storage, bytes, model, &found);
    if (status != TTE_OK) {
        return status;
    }
    const tte_seal seal = tte_seal_of(states, bytes, model, found.sequence + 1u);
    const uint32_t at = (1u - found.slot) * tte_slot_bytes(storage, bytes);
    if (storage->write(storage->context, at, states, bytes) != 0 || storage->sync(storage->context) != 0 ||
        storage->write(storage->context, at + bytes, &seal, (uint32_t)sizeof seal) != 0 ||
        storage->sync(storage->context) != 0) {
        return TTE_ERR_STORAGE;
    }
    return TTE_OK;
}

/** Take the states of the newest whole slot. They are undefined after TTE_ERR_STORAGE and TTE_ERR_CRC. */
static inline tte_status tte_restore(void *states, uint32_t bytes, uint32_t model, const tte_storage *storage)
{
    tte_slots found;
    const tte_status status = tte_find_newest(storage, bytes, model, &found);
    if (status != TTE_OK || !found.whole) {
        return status != TTE_OK ? status : TTE_ERR_EMPTY;
    }
    const uint32_t at = found.slot * tte_slot_bytes(storage, bytes);
    tte_seal seal;
    if (storage->read(storage->context, at, states, bytes) != 0 ||
        storage->read(storage->context, at + bytes, &seal, (uint32_t)sizeof seal) != 0) {
        return TTE_ERR_STORAGE;
    }
    return seal.crc == tte_seal_crc(tte_crc32(0, states, bytes), &seal) ? TTE_OK : TTE_ERR_CRC;
}

#endif
