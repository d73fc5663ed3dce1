"""Constants too large for text: a binary file, and an assembler file that brings it into the program. Floor 3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tte.types import Array

LARGE = 2**20  # bytes from which on a constant isn't written as C
ALIGN = 64  # bytes, a line of most caches


@dataclass(frozen=True, slots=True)
class Piece:
    """Where the constant of a symbol lies in the binary file."""

    symbol: str
    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Large:
    """The binary file, all boards' order of bytes being little-endian, and what lies in it."""

    pieces: tuple[Piece, ...]
    data: bytes

    @property
    def symbols(self) -> set[str]:
        """What isn't written as C."""
        return {p.symbol for p in self.pieces}


def large(arrays: Mapping[str, Array]) -> Large:
    """Those of the arrays that aren't written as C, one after the other."""
    held = {symbol: a for symbol, a in arrays.items() if a.nbytes >= LARGE}
    pieces, at = list[Piece](), 0
    for symbol, a in held.items():
        pieces.append(Piece(symbol, at, a.nbytes))
        at += a.nbytes
    return Large(tuple(pieces), b"".join(a.astype(a.dtype.newbyteorder("<")).tobytes() for a in held.values()))
