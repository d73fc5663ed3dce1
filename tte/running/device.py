"""A compiled project as a device that keeps what it learns: trains and infers, many calls in one run. Floor 8."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from tte.ir import Module
from tte.op import Arrays
from tte.running.emulate import Command, Cost, call, cost_of_first, play
from tte.states import layout
from tte.target import Board
from tte.types import Array, Bytes, DType, TensorType

IMPORT, EXPORT, RATE, PROMPT = 0x10000, 0x10001, 0x10002, 0x10004  # of codegen/templates/main.c.j2
MOST_CALLS, MOST_BYTES = 256, 2**25  # of a run


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
        commands = [[call(self.module, "infer", arrays)] for arrays in samples]
        return [outputs for run in _runs(commands) for outputs in self._play(run)[0]]

    def train(self, examples: Sequence[Arrays], rates: Sequence[float]) -> list[Arrays]:
        """The loss and the scores of each `train_step`, given its inputs, the label last, and its learning rate."""
        rated = zip(examples, rates, strict=True)
        commands = [[_command(RATE, struct.pack("<f", r)), call(self.module, "train_step", a)] for a, r in rated]
        found: list[Arrays] = []
        for run in _runs(commands):
            outputs, self._block = self._play(run)
            found += outputs
        return found

    def measure(self, function: str, arrays: Arrays) -> Cost:
        """What a call takes; the states stay as they were."""
        _, raw = play(self.elf, self.board, [*self._first, call(self.module, function, arrays)], count=True)
        return cost_of_first(raw, self.board)

    @property
    def _first(self) -> list[Command]:
        """What brings the program to the states that are."""
        return [_command(IMPORT, self._block)] if self._block else []

    def _play(self, commands: Sequence[Command]) -> tuple[list[Arrays], Bytes]:
        """Run commands from the states that are; the outputs of calls, and the states after them."""
        first, block = self._first, TensorType((len(self._block),), DType.U8)
        last = [Command(struct.pack("<I", EXPORT), (block,)) for _ in first]
        found, _ = play(self.elf, self.board, [*first, *commands, *last])
        answers = [outputs for outputs in found if outputs]
        return (answers[:-1], answers[-1][0].tobytes()) if last else (answers, b"")


def _command(number: int, sent: Bytes) -> Command:
    return Command(struct.pack("<I", number) + sent)


def _runs(groups: Sequence[Sequence[Command]]) -> Iterator[list[Command]]:
    """Groups of commands, as many at a time as a run may have."""
    run: list[Command] = []
    for group in groups:
        if run and (len(run) + len(group) > 2 * MOST_CALLS or sum(len(c.sent) for c in run) > MOST_BYTES):
            yield run
            run = []
        run += group
    if run:
        yield run
