"""Build a project, run it on the host or in QEMU, and bring arrays and counts back. Floor 7."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tte.ends import after, before
from tte.errors import DoesNotFit, InternalError, TteError, Unsupported
from tte.ir import Module
from tte.op import Arrays, Types
from tte.running.beside import Tie, beside
from tte.running.elf import watched
from tte.target import BOARDS, Board
from tte.types import Array

BUILD_SECONDS = 600
RUN_SECONDS = 300
CALL_SECONDS = 30  # that each call may take beside, on a slow machine in an emulator
MEMORY_FAULT, OTHER_EXCEPTION = 99, 98  # exit codes of boards/common/semihost.c
OVERFLOW = re.compile(r"region [`'](\w+)' overflowed by (\d+) bytes")  # ld's words
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
class Command:
    """What a project's program is sent, and the types of what it answers after the status."""

    sent: bytes
    answer: Types = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call took: instructions in all and by step, None where nothing is counted; stack, None if not painted."""

    instructions: int | None
    steps: tuple[int, ...] | None
    stack: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Inference(Cost):
    """The model's own outputs for each sample; what the first one cost, and the most stack used."""

    outputs: tuple[Arrays, ...]


def missing_tools(board: Board) -> tuple[str, ...]:
    """The compiler, emulator, host compiler or make that this machine lacks."""
    cpu = board.cpu
    compiler = shlex.split(_override(board)) or cpu.cc
    tools = [*compiler[:1], *cpu.run[:1], "make"]
    if board.npu:
        tools += [*board.npu.cc[:1], *board.npu.run[:1]]
    missing = tuple(t for t in tools if t != "{elf}" and shutil.which(t) is None)
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
        for found in filter(None, map(OVERFLOW.search, lines)):
            what = f"the program is {found[2]} bytes too large for {found[1].lower()}"
            raise DoesNotFit(board.name, what, "try --memory smallest, a smaller model, or a larger board")
        errors = [line for line in lines if "error" in line or "overflow" in line] or lines
        raise InternalError(board.name, "the project does not build: " + " | ".join(errors[:3]))
    return folder / ("sanitized.elf" if sanitize else "model.elf")


def infer(module: Module, elf: Path, board: Board, samples: Sequence[Arrays], count: bool = True) -> Inference:
    """Run `infer` on each sample of the model's own inputs, all in one run of a project's program."""
    commands = [call(module, "infer", before(module, sample)) for sample in samples]
    found, raw = play(elf, board, commands, count)
    cost = cost_of_first(raw, board, len(samples))
    return Inference(cost.instructions, cost.steps, cost.stack, tuple(after(module, outputs) for outputs in found))


def call(module: Module, function: str, arrays: Arrays) -> Command:
    """A call of a graph with the device's own inputs; TteError if they are of other types."""
    graph = module.graph(function)
    for v, a in zip(graph.ins, arrays, strict=True):
        if not v.type.accepts(a) or a.dtype != v.type.dtype.numpy:
            raise TteError(function, f"takes {v}, not {a.dtype}{list(a.shape)}")
    given = [v.type.encode(a) for v, a in zip(graph.ins, arrays, strict=True)]
    number = struct.pack("<I", module.graphs.index(graph))
    return Command(number + b"".join(given), tuple(v.type for v in graph.outs))


def play(elf: Path, board: Board, commands: Sequence[Command], count: bool = False) -> tuple[list[Arrays], Raw]:
    """Give a project's program commands, one after the other; what it answered to each."""
    sent = b"".join(c.sent for c in commands)
    raw = run_elf(elf, board, sent, count, more_seconds=CALL_SECONDS * len(commands))
    found: list[Arrays] = []
    at = 0
    for c in commands:
        status = struct.unpack_from("<i", raw.data.ljust(at + 4, b"\xff"), at)[0]
        if status:
            raise InternalError(board.name, f"the program ended with status {status}, exit code {raw.exit_code}")
        at += 4
        outputs: list[Array] = []
        for t in c.answer:
            outputs.append(t.decode(raw.data[at : at + t.bytes]))
            at += t.bytes
        found.append(tuple(outputs))
    if raw.exit_code or len(raw.data) != at + 4:
        raise InternalError(board.name, f"the program ended with exit code {raw.exit_code} after {len(raw.data)} bytes")
    return found, raw


def cost_of_first(raw: Raw, board: Board, calls: int = 1) -> Cost:
    """What the first of equal calls took, and the stack of all."""
    steps = steps_of_first(raw, calls)
    stack = struct.unpack("<I", raw.data[-4:])[0] if board.cpu.stack else None
    return Cost(sum(steps) if steps else None, steps, stack)


def steps_of_first(raw: Raw, samples: int) -> tuple[int, ...] | None:
    """Counts of the first of the samples by step: from its entry to the next one's, or to the end of the call.

    None where nothing was counted.

    What a call does before its first step is that one's too; what one without steps does, the next call's first one's.
    """
    if not raw.marks or not samples:
        return None
    ends = [i for i, (symbol, _) in enumerate(raw.marks) if symbol == "tte_mark"]
    found, early = list[int](), 0
    for first, last in list(zip(ends[::2], ends[1::2], strict=True))[: len(ends) // (2 * samples)]:
        start, *totals = [total for _, total in raw.marks[first : last + 1]]
        if len(totals) == 1:
            early += totals[0] - start
            continue
        found += [b - a for a, b in itertools.pairwise([start - early, *totals[1:]])]
        early = 0
    return tuple(found)


def run_elf(
    elf: Path, board: Board, data: bytes, count: bool = True, prefix: str = "step_", more_seconds: int = 0
) -> Raw:
    """Run a program on `data`; counted are tte_mark and the functions whose name starts with `prefix`.

    It is ended, with a TteError, after RUN_SECONDS and `more_seconds`.
    """
    with tempfile.TemporaryDirectory(prefix="tte-") as name:
        folder = Path(name)
        argv = [a.replace("{elf}", str(elf.resolve())) for a in board.cpu.run]
        counting = count and bool(board.cpu.counts)
        if counting:
            rows = "".join(f"{address:x} {symbol}\n" for address, symbol in watched(elf, prefix))
            (folder / "watch").write_text(rows)
            argv[1:1] = ["-plugin", f"{_plugin()},watch={folder}/watch,out={folder}/count"]
        (folder / "tte.in").write_bytes(data)
        with beside(elf, board, folder) as tie:
            done = _shell(argv, board, folder, data, RUN_SECONDS + more_seconds, tie)
            check_exit(done, board)
        written = folder / "tte.out"
        lines = (folder / "count").read_text().splitlines() if counting else []
        marks = tuple((symbol, int(total)) for symbol, total in (line.rsplit(" ", 1) for line in lines))
        if not board.cpu.linker:
            return Raw(done.stdout, done.returncode, marks)
        return Raw(written.read_bytes() if written.exists() else b"", done.returncode, marks)


def check_exit(done: Done, board: Board) -> None:
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


def _shell(
    argv: list[str], board: Board, folder: Path, data: bytes, seconds: int, tie: Tie = lambda process: None
) -> Done:
    """Run argv in `folder`; when time is up, end it and all that it started."""
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, cwd=folder, start_new_session=True) as process:
        try:
            tie(process)
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
