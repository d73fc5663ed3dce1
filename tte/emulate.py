"""Build a project, run it on the host or in QEMU, bring its bytes and counts back, and read its sizes. Floor 7."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import signal
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tte.errors import InternalError, TteError, Unsupported
from tte.target import BOARDS, Board

BUILD_SECONDS = 600
RUN_SECONDS = 300
MEMORY_FAULT, OTHER_EXCEPTION = 99, 98  # exit codes of boards/common/semihost.c
Done: TypeAlias = "subprocess.CompletedProcess[bytes]"


class Fault(TteError):
    """The program ended by a fault: it touched memory that it may not, or did what the processor refuses."""


@dataclass(frozen=True, slots=True)
class Raw:
    """What a program wrote, its exit code, and each entry into a watched function with the count until then."""

    data: bytes
    exit_code: int
    marks: tuple[tuple[str, int], ...]


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


def missing_tools(board: Board) -> tuple[str, ...]:
    """The compiler, emulator, host compiler or make that this machine lacks."""
    cpu = board.cpu
    compiler = shlex.split(_override(board)) or cpu.cc
    tools = (*compiler[:1], *(a for a in cpu.run[:1] if a != "{elf}"), "make")
    missing = tuple(t for t in tools if shutil.which(t) is None)
    return missing if _host_cc() or not cpu.counts else (*missing, "cc")


def build(folder: Path, board: Board, sanitize: bool = False) -> Path:
    """Run make in a project's folder; `sanitize` builds anew, and keeps model.elf for the plain program."""
    if missing := missing_tools(board):
        raise Unsupported(board.name, f"{missing[0]} is not installed", "Debian: " + " ".join(board.packages))
    argv = ["make", "-s"]
    if compiler := _override(board):
        argv.append(f"CC={compiler}")
    if sanitize:
        argv += ["-B", "EXTRA=" + " ".join(board.cpu.sanitize), "ELF=sanitized.elf", "sanitized.elf"]
    done = _shell(argv, board, folder, b"", BUILD_SECONDS)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        errors = [line for line in lines if "error" in line or "overflow" in line] or lines
        raise InternalError(board.name, "the project does not build: " + " | ".join(errors[:3]))
    return folder / ("sanitized.elf" if sanitize else "model.elf")


def run_elf(elf: Path, board: Board, data: bytes, count: bool = True, prefix: str = "step_") -> Raw:
    """Run a program on `data`. Counted are tte_mark and the functions whose name starts with `prefix`."""
    with tempfile.TemporaryDirectory(prefix="tte-") as name:
        folder = Path(name)
        argv = [a.replace("{elf}", str(elf.resolve())) for a in board.cpu.run]
        counting = count and bool(board.cpu.counts)
        if counting:
            watched = "".join(f"{address:x} {symbol}\n" for address, symbol in _watched(elf, prefix))
            (folder / "watch").write_text(watched)
            argv[1:1] = ["-plugin", f"{_plugin()},watch={folder}/watch,out={folder}/count"]
        (folder / "tte.in").write_bytes(data)
        done = _shell(argv, board, folder, data, RUN_SECONDS)
        written = folder / "tte.out"
        _check_exit(done, board)
        lines = (folder / "count").read_text().splitlines() if counting else []
        marks = tuple((symbol, int(total)) for symbol, total in (line.rsplit(" ", 1) for line in lines))
        if not board.cpu.linker:
            return Raw(done.stdout, done.returncode, marks)
        return Raw(written.read_bytes() if written.exists() else b"", done.returncode, marks)


def sizes(elf: Path, board: Board) -> Sizes:
    """Read what a program takes from its section headers."""
    held = [s for s in _sections(elf.read_bytes()) if s.flags & Section.ALLOC and s.name != ".stack"]
    return Sizes(
        flash=sum(s.size for s in held if s.type != Section.NOBITS),
        ram=sum(s.size for s in held if s.flags & Section.WRITE),
        code=sum(s.size for s in held if s.flags & Section.EXECUTE),
        stack=board.cpu.stack,
    )


def object_text(path: Path) -> int:
    """Bytes of an object file's .text sections."""
    return sum(s.size for s in _sections(path.read_bytes()) if s.name.startswith(".text"))


def _check_exit(done: Done, board: Board) -> None:
    """Turn the exit codes of faults into words."""
    if board.cpu.linker and done.returncode == MEMORY_FAULT:
        raise Fault(board.name, "memory fault: outside flash, sram and peripherals, or stack overflow")
    if board.cpu.linker and done.returncode == OTHER_EXCEPTION:
        raise Fault(board.name, "the processor refused an instruction or took an unexpected exception")
    said = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode and (found := [line for line in said if "runtime error:" in line or "Sanitizer:" in line]):
        raise Fault(board.name, found[0])
    if done.returncode < 0:
        raise Fault(board.name, f"killed by {signal.Signals(-done.returncode).name}", said[-1] if said else "")


def _shell(argv: list[str], board: Board, folder: Path, data: bytes, seconds: int) -> Done:
    """Run argv in `folder`; when time is up, end it and all that it started."""
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, cwd=folder, start_new_session=True) as process:
        try:
            out, err = process.communicate(data, timeout=seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise TteError(board.name, f"{argv[0]} did not end within {seconds} seconds") from error
            raise
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


def _override(board: Board) -> str:
    """The environment's CC, which stands for this machine's compiler only."""
    return os.environ.get("CC", "") if board.cpu.run[:1] == ("{elf}",) else ""


def _host_cc() -> str | None:
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def _plugin() -> Path:
    """The instruction counter, built once per content; parallel builders replace each other's equal files."""
    source = BOARDS / "common" / "count.c"
    compiler = _host_cc()
    if compiler is None:
        raise Unsupported("count", "counting instructions needs a host compiler", "Debian: gcc")
    cache = Path(os.environ.get("TTE_CACHE") or Path.home() / ".cache" / "tte")
    built = cache / f"count-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}.so"
    if not built.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as name:
            fresh = Path(name) / built.name
            argv = [compiler, "-O2", "-shared", "-fPIC", "-fvisibility=hidden", str(source), "-o", str(fresh)]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
            if done.returncode:
                raise InternalError("count", f"{source.name} does not build: {done.stderr[:300]}")
            fresh.replace(built)
    return built


def _sections(data: bytes) -> list[Section]:
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
    sections = _sections(data)
    for table in (s for s in sections if s.type == Section.SYMBOLS):
        for at in range(table.offset, table.offset + table.size, 24 if wide else 16):
            if wide:
                name, info, _, section, address = struct.unpack_from("<IBBHQ", data, at)
            else:
                name, address, _, info, _, section = struct.unpack_from("<IIIBBH", data, at)
            if info & 15 == 2 and section:  # STT_FUNC, defined
                yield address & ~1 if arm else address, _string(data, sections[table.link].offset + name)


def _watched(elf: Path, prefix: str) -> list[tuple[int, str]]:
    """The functions to count, by address. GCC's .isra and .constprop still are the function; .cold and .part not."""
    found = {}
    for address, name in _functions(elf.read_bytes()):
        parts = name.split(".")
        if (name == "tte_mark" or name.startswith(prefix)) and not {"cold", "part"} & set(parts):
            found[address] = parts[0]
    return sorted(found.items())
