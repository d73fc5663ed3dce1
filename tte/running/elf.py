"""Reads ELF files: sizes, and the addresses of functions. Floor 2."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tte.errors import InternalError
from tte.target import Board


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of an ELF: `flash` is all that is loaded, `ram` is .data and .bss, without the reserved `stack`."""

    flash: int
    ram: int
    code: int
    stack: int


@dataclass(frozen=True, slots=True)
class Section:
    """A section of an ELF file."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int

    WRITE, ALLOC, EXECUTE, SYMBOLS, NOBITS = 1, 2, 4, 2, 8


def sizes(elf: Path, board: Board) -> Sizes:
    """Read what a program takes from its section headers."""
    held = [s for s in sections(elf.read_bytes()) if s.flags & Section.ALLOC and s.name != ".stack"]
    return Sizes(
        flash=sum(s.size for s in held if s.type != Section.NOBITS),
        ram=sum(s.size for s in held if s.flags & Section.WRITE),
        code=sum(s.size for s in held if s.flags & Section.EXECUTE),
        stack=board.cpu.stack,
    )


def object_text(path: Path) -> int:
    """Bytes of an object file's .text sections."""
    return sum(s.size for s in sections(path.read_bytes()) if s.name.startswith(".text"))


def sections(data: bytes) -> list[Section]:
    """The section headers of a little-endian ELF file of 32 or 64 bits."""
    if data[:4] != b"\x7fELF" or data[5] != 1:
        raise InternalError("elf", "not a little-endian ELF file")
    wide = data[4] == 2
    start = struct.unpack_from("<Q", data, 40)[0] if wide else struct.unpack_from("<I", data, 32)[0]
    stride, number, names = struct.unpack_from("<3H", data, 58 if wide else 46)
    layout = "<IIQQQQI" if wide else "<7I"
    rows = [struct.unpack_from(layout, data, start + i * stride) for i in range(number)]
    strings = rows[names][4] if rows else 0
    return [Section(_string(data, strings + row[0]), *row[1:]) for row in rows]


def _string(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode()


def _functions(data: bytes) -> Iterator[tuple[int, str]]:
    """Address and name of every function in the symbol tables; Arm's Thumb bit is not part of an address."""
    wide, arm = data[4] == 2, struct.unpack_from("<H", data, 18)[0] == 40
    found = sections(data)
    for table in (s for s in found if s.type == Section.SYMBOLS):
        for at in range(table.offset, table.offset + table.size, 24 if wide else 16):
            if wide:
                name, info, _, section, address = struct.unpack_from("<IBBHQ", data, at)
            else:
                name, address, _, info, _, section = struct.unpack_from("<IIIBBH", data, at)
            if info & 15 == 2 and section:  # STT_FUNC, defined
                yield address & ~1 if arm else address, _string(data, found[table.link].offset + name)


def watched(elf: Path, prefix: str) -> list[tuple[int, str]]:
    """The functions to count, by address. GCC's .isra and .constprop still are the function; .cold and .part not."""
    found = {}
    for address, name in _functions(elf.read_bytes()):
        parts = name.split(".")
        if (name == "tte_mark" or name.startswith(prefix)) and not {"cold", "part"} & set(parts):
            found[address] = parts[0]
    return sorted(found.items())
