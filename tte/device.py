"""A compiled project as a device that keeps what it learns: trains and infers, many calls in one run. Floor 8."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tte.emulate import RUN_SECONDS, Raw, run_elf, steps_of_first
from tte.errors import InternalError, TteError
from tte.ir import Module
from tte.op import Arrays, Types
from tte.states import layout
from tte.target import Board
from tte.types import Array, Bytes

IMPORT, EXPORT, RATE = 0x10000, 0x10001, 0x10002  # of codegen/templates/main.c.j2
WORD, STATUS, REAL = struct.Struct("<I"), struct.Struct("<i"), struct.Struct("<f")
MOST_CALLS, MOST_BYTES = 256, 2**25  # of a run
CALL_SECONDS = 30  # that a call may take beyond RUN_SECONDS, on a slow machine in an emulator


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call took: instructions in all and by step, None where nothing is counted; stack, None if not painted."""

    instructions: int | None
    steps: tuple[int, ...] | None
    stack: int | None


@dataclass(frozen=True, slots=True)
class _Command:
    """What main.c is sent, and what it answers after the status."""

    sent: Bytes
    answer: Types = ()


class Device:
    """A program on its board. A run ends after some hundred calls and the next one goes on from its states."""

    def __init__(self, module: Module, elf: Path, board: Board) -> None:
        self.module, self.elf, self.board = module, elf, board
        self.layout = layout(module.states)
        self._block = self.layout.pack({s.value.name: s.init for s in module.states})

    @property
    def states(self) -> dict[str, Array]:
        """All states in sram by name: what was trained, optimiser's moments, rate and clock."""
        return self.layout.unpack(self._block)

    @states.setter
    def states(self, arrays: dict[str, Array]) -> None:
        self._block = self.layout.pack(self.states | arrays)

    @property
    def exported(self) -> Bytes:
        """What the model's `export` in C would write now."""
        return self.layout.seal(self._block)

    def infer(self, samples: Sequence[Arrays]) -> list[Arrays]:
        """The outputs of `infer` for the device's own inputs."""
        commands = [[self._call("infer", arrays)] for arrays in samples]
        return [outputs for run in _runs(commands) for outputs in self._play(run)[0]]

    def train(self, examples: Sequence[Arrays], rates: Sequence[float]) -> list[Arrays]:
        """The loss and the scores of each `train_step`, given its inputs, the label last, and its learning rate."""
        rated = zip(examples, rates, strict=True)
        commands = [[_Command(WORD.pack(RATE) + REAL.pack(r)), self._call("train_step", a)] for a, r in rated]
        found: list[Arrays] = []
        for run in _runs(commands):
            outputs, self._block, _ = self._play(run)
            found += outputs
        return found

    def measure(self, function: str, arrays: Arrays) -> Cost:
        """What a call takes; the states stay as they were."""
        *_, raw = self._play([self._call(function, arrays)], count=True)
        steps = steps_of_first(raw, 1)
        stack = WORD.unpack(raw.data[-WORD.size :])[0] if self.board.cpu.stack else None
        return Cost(sum(steps) if steps else None, steps, stack)

    def _call(self, function: str, arrays: Arrays) -> _Command:
        graph = self.module.graph(function)
        given = [v.type.encode(a) for v, a in zip(graph.ins, arrays, strict=True)]
        for v, a in zip(graph.ins, arrays, strict=True):
            if not v.type.accepts(a):
                raise TteError(function, f"takes {v}, not {a.dtype}{list(a.shape)}")
        number = WORD.pack(self.module.graphs.index(graph))
        return _Command(number + b"".join(given), tuple(v.type for v in graph.outs))

    def _play(self, commands: Sequence[_Command], count: bool = False) -> tuple[list[Arrays], Bytes, Raw]:
        """Run commands from the states that are; the outputs of calls, the states after them, and what was written."""
        first = [_Command(WORD.pack(IMPORT) + self._block)] if self._block else []
        last = [_Command(WORD.pack(EXPORT))] if self._block else []
        sent = b"".join(c.sent for c in (*first, *commands, *last))
        raw = run_elf(self.elf, self.board, sent, count, seconds=RUN_SECONDS + CALL_SECONDS * len(commands))
        found: list[Arrays] = []
        at = 0
        for c in (*first, *commands, *last):
            status = STATUS.unpack(raw.data[at : at + STATUS.size].ljust(STATUS.size, b"\xff"))[0]
            if status:
                raise InternalError(self.board.name, f"a call ended with status {status}, exit code {raw.exit_code}")
            at += STATUS.size
            outputs: list[Array] = []
            for t in c.answer:
                outputs.append(t.decode(raw.data[at : at + t.bytes]))
                at += t.bytes
            found += [tuple(outputs)] if outputs else []
        block = raw.data[at : at + len(self._block)]
        if raw.exit_code or len(raw.data) != at + len(block) + WORD.size:
            raise InternalError(self.board.name, f"wrote {len(raw.data)} bytes, exit code {raw.exit_code}")
        return found, block, raw


def _runs(groups: Sequence[Sequence[_Command]]) -> Iterator[list[_Command]]:
    """Groups of commands, as many at a time as a run may have."""
    run: list[_Command] = []
    for group in groups:
        if run and (len(run) + len(group) > 2 * MOST_CALLS or sum(len(c.sent) for c in run) > MOST_BYTES):
            yield run
            run = []
        run += group
    if run:
        yield run
