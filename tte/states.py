"""The states in sram as one block of bytes: how they lie in the arena, and how C exports and imports them. Floor 4."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tte.errors import BadModel
from tte.ir import State
from tte.program import ALIGN
from tte.types import Array, Bytes, Value

SEAL = struct.Struct("<4I")  # tte_seal of runtime_c/tte_checkpoint.h: model, bytes, sequence, crc


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each state in sram lies from the start of the arena on, and the bytes of all, padding included."""

    offsets: tuple[tuple[Value, int], ...]
    bytes: int

    @property
    def sealed(self) -> int:
        """Bytes with the seal."""
        return self.bytes + SEAL.size

    def at(self, name: str) -> int | None:
        """Where the state of that name lies, None if there is none."""
        return next((offset for v, offset in self.offsets if v.name == name), None)

    @property
    def model(self) -> int:
        """A number that tells states of other names or types apart: 32 bits of a hash."""
        told = "\n".join(f"{v.name}: {v.type}" for v, _ in self.offsets)
        return int.from_bytes(hashlib.sha256(told.encode()).digest()[:4], "little")

    def pack(self, arrays: Mapping[str, Array]) -> Bytes:
        """The block that holds arrays, given by the states' names; padding is 0."""
        block = bytearray(self.bytes)
        for v, offset in self.offsets:
            block[offset : offset + v.type.bytes] = v.type.encode(arrays[v.name])
        return bytes(block)

    def unpack(self, block: Bytes) -> dict[str, Array]:
        """The arrays in a block."""
        return {v.name: v.type.decode(block[offset : offset + v.type.bytes]) for v, offset in self.offsets}

    def seal(self, block: Bytes) -> Bytes:
        """What the model's `export` writes: the block, then its seal."""
        told = struct.pack("<3I", self.model, self.bytes, 0)
        return block + told + struct.pack("<I", zlib.crc32(block + told))

    def unseal(self, sealed: Bytes, where: str) -> Bytes:
        """The block in what `export` wrote, or in a slot of a checkpoint; BadModel if it is another's or damaged."""
        if len(sealed) < self.sealed or SEAL.unpack_from(sealed, self.bytes)[:2] != (self.model, self.bytes):
            raise BadModel(where, "does not hold the states of this project", "was it written by another one?")
        if zlib.crc32(sealed[: self.sealed - 4]) != SEAL.unpack_from(sealed, self.bytes)[3]:
            raise BadModel(where, "is damaged: its CRC is wrong")
        return sealed[: self.bytes]


def layout(states: Iterable[State]) -> Layout:
    """The states in sram, in their order, each aligned."""
    found: list[tuple[Value, int]] = []
    at = 0
    for state in states:
        if state.storage == "sram":
            found.append((state.value, at))
            at += -(-state.value.type.bytes // ALIGN) * ALIGN
    return Layout(tuple(found), at)
