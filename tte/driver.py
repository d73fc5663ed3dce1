"""The whole way of the data, on one page. Floor 6."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tte.codegen.project import render
from tte.errors import InternalError, TteError
from tte.ir import Module, verify
from tte.passes.memory.plan import plan_memory
from tte.passes.select import Prefer, cheapest, select
from tte.passes.simplify.dce import dce
from tte.program import MemoryPlan, Program, check_plan
from tte.target import Board

Pass: TypeAlias = Callable[[Module, Board], Module]


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A project to write out, with everything that led to it."""

    module: Module
    program: Program
    plan: MemoryPlan
    files: dict[str, str]

    def write(self, folder: Path) -> None:
        """Write the C project."""
        for path, text in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose. `io` is a set of caller, quantized (DESIGN 7)."""

    io: frozenset[str] = frozenset()
    trace: Path | None = None
    prefer: Prefer = cheapest


def compile_model(module: Module, board: Board, options: Options = Options()) -> Compiled:  # noqa: B008
    """Module -> Module (passes) -> Program -> MemoryPlan -> files."""
    verify(module)
    module = run_passes(module, board, (dce,), options.trace)
    program = select(module, board, "caller" in options.io, options.prefer)
    plan = plan_memory(program, board)
    check_plan(program, plan)
    return Compiled(module, program, plan, render(program, plan, board))


def run_passes(module: Module, board: Board, passes: Iterable[Pass], trace: Path | None = None) -> Module:
    """Run each pass and verify its result; `trace` receives the numbered text graphs."""
    for number, rewrite in enumerate(passes):
        name = getattr(rewrite, "__name__", type(rewrite).__name__.lower())
        module = rewrite(module, board)
        if trace:
            trace.mkdir(parents=True, exist_ok=True)
            (trace / f"{number:02}_{name}.txt").write_text(str(module))
        try:
            verify(module)
        except TteError as error:
            raise InternalError(f"pass {name}", str(error)) from error
    return module
