"""A compiled project on its board: from a model to its numbers. Floor 9."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tte.cli.console import progress
from tte.codegen.page import REPORT, page
from tte.data.feed import random_inputs
from tte.driver import Options, Way, compile_model, finish
from tte.ends import before
from tte.errors import TteError
from tte.frontier import frontier
from tte.ir import Module
from tte.load import USUAL, Lengths, is_model_folder, load_model
from tte.op import Arrays
from tte.pictures.picture import Picture
from tte.pictures.timeline import timeline
from tte.pictures.tradeoff import tradeoff
from tte.record import Measured, Point, Record, read_record
from tte.report import measure
from tte.running.device import Device
from tte.running.emulate import Inference, build, infer, missing_tools
from tte.store import load
from tte.target import Board, load_board
from tte.workspace import fresh_project, is_project


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """A project in a folder, with the module and the record that lie in it."""

    folder: Path
    board: Board
    module: Module
    record: Record

    def run(self, samples: Sequence[Arrays]) -> tuple[Inference, Measured]:
        """Build the project, and run it on samples of the model's own inputs."""
        with progress(f"building {self.record.model} for {self.board.name}"):
            elf = build(self.folder, self.board)
        with progress(f"running {self.record.model} on {self.board.name}"):
            found = infer(self.module, elf, self.board, samples)
        layers = self.record.infer.by_layer(found.steps)
        return found, measure(self.folder, self.board, {"infer": layers} if layers else {}, found.stack)

    def measure(self) -> Measured:
        """Run once: an inference on random inputs and, of a model that learns, a training step; else each function."""
        names = [g.name for g in self.module.graphs]
        if "infer" not in names:
            with progress(f"building {self.record.model} for {self.board.name}"):
                build(self.folder, self.board)
            return self._with(measure(self.folder, self.board, {}, None), {n: self._example(n) for n in names})
        given = random_inputs(self.module)
        measured = self.run([given])[1]
        if "train_step" not in names:
            return measured
        label = self.module.graph("train_step").ins[-1].type
        lesson = (*before(self.module, given), np.zeros(label.shape, label.dtype.numpy))
        return self._with(measured, {"train_step": lesson})

    def _example(self, function: str) -> Arrays:
        """For `prefill` and `decode`: as many tokens as they take, from the first position on."""
        tokens, where = (v.type for v in self.module.graph(function).ins)
        return np.zeros(tokens.shape, np.int32), np.asarray([0, tokens.size], np.int32).reshape(where.shape)

    def _with(self, measured: Measured, given: Mapping[str, Arrays]) -> Measured:
        """With what calls of other functions take."""
        device = Device(self.module, self.folder / "model.elf", self.board)
        for name, arrays in given.items():
            work = next(f for f in self.record.functions if f.name == name)
            with progress(f"running {name} of {self.record.model} on {self.board.name}"):
                cost = device.measure(name, arrays)
            layers, stack = work.by_layer(cost.steps), max(cost.stack or 0, measured.stack_bytes)
            measured = replace(
                measured,
                sram_bytes=measured.sram_bytes + stack - measured.stack_bytes,
                stack_bytes=stack,
                painted=bool(self.board.cpu.stack),
                counts=measured.counts | ({name: layers} if layers else {}),
            )
        return measured

    def frontier(self, counted: bool) -> list[Point]:
        """Ways to compile the module; `counted`, each is built and run."""
        with progress(f"compiling {self.record.model} in several ways"):
            found = frontier(self.module, self.board, self.record)
        return [self._counted(p, way) if counted and p.fits else p for p, way in found]

    def _counted(self, point: Point, way: Way) -> Point:
        with tempfile.TemporaryDirectory(prefix="tte-") as name:
            finish(self.module, way.program, way.plan, self.board).write(Path(name))
            measured = open_project(Path(name)).measure()
        return replace(point, instructions=measured.instructions, code_bytes=measured.code_bytes)

    def pictures(self, points: Sequence[Point]) -> list[Picture]:
        """Those of the report."""
        return [timeline(self.record, f) for f in self.record.functions] + ([tradeoff(points)] if points else [])

    def explain(self, measured: Measured | None, points: Sequence[Point]) -> None:
        """Write report.html anew, with what was measured."""
        (self.folder / REPORT).write_text(page(self.record, measured, points))


def open_project(folder: Path, board: str | None = None) -> Session:
    """The project in `folder`, which must have been compiled for `board`."""
    record = read_record(folder)
    if board is not None and load_board(board).name != record.board:
        raise TteError(str(folder), f"was compiled for {record.board}", f"tte compile MODEL --board {board}")
    return Session(folder, load_board(record.board).limited(record.sram), load(folder), record)


@contextmanager
def new_project(model: Path, board: Board, options: Options, out: Path, lengths: Lengths = USUAL) -> Generator[Session]:
    """Compile `model` to a new folder, which becomes `out` when the block ends well; `lengths` as in `load_model`."""
    with fresh_project(out) as folder:
        with progress(f"reading {model.name}"):
            module = load_model(model, lengths)
        with progress(f"compiling {model.name} for {board.name}"):
            compile_model(module, board, options).write(folder)
        yield open_project(folder)


def runnable(board: Board) -> bool:
    """True if this machine can build for the board and run it."""
    return not missing_tools(board)


def is_model(path: Path) -> bool:
    """True for a model's file or folder, False for a project's folder."""
    if path.is_dir() and not is_project(path) and not is_model_folder(path):
        raise TteError(str(path), "is a directory without a project of tte", "give a model, or a folder of tte compile")
    return not path.is_dir() or not is_project(path)
