"""The whole way of the data, on one page. Floor 6."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from tte.checker.replay import check_plan
from tte.codegen.project import render
from tte.errors import InternalError, TteError, Unsupported
from tte.ir import Module, verify
from tte.language.speech import TOKENS, context, speaks, speech
from tte.language.tokenizer import Tokenizer
from tte.passes.memory.cascade import Plan, cascade, schedule, schedules
from tte.passes.memory.chains import chains
from tte.passes.memory.order import order
from tte.passes.memory.plan import check_fit, fits, plan_memory, widen
from tte.passes.memory.stream import stream
from tte.passes.npu.by_units import by_units
from tte.passes.npu.outlier import Outlier, Split
from tte.passes.npu.prompts import prompt
from tte.passes.quantize.caches import Caches
from tte.passes.quantize.fast_numerics import fast_numerics
from tte.passes.quantize.fold_qdq import fold_qdq
from tte.passes.quantize.io_quantized import io_quantized
from tte.passes.quantize.rows import Rows
from tte.passes.select import Prefer, cheapest, least_scratch, select
from tte.passes.simplify.cancel_transposes import cancel_transposes
from tte.passes.simplify.dce import dce
from tte.passes.simplify.fold_constants import fold_constants
from tte.passes.simplify.fuse_activation import fuse_activation
from tte.passes.simplify.fuse_pad import fuse_pad
from tte.passes.simplify.mean_first import mean_first
from tte.passes.simplify.merge_affine import merge_affine
from tte.passes.threads import Threads
from tte.passes.training.front import Front
from tte.passes.training.head import Head, HeadKind
from tte.passes.training.hoist import hoist
from tte.passes.training.integer_gradients import IntegerGradients
from tte.passes.training.linear_as_conv import linear_as_conv
from tte.passes.training.real_layers import RealLayers
from tte.passes.training.train_states import TrainStates
from tte.passes.training.train_step import TrainStep
from tte.program import MemoryPlan, Program
from tte.record import Pruned
from tte.store import files
from tte.target import Board
from tte.training.learning import Learning
from tte.training.plan import TrainPlan

Pass: TypeAlias = Callable[[Module, Board], Module]
Say: TypeAlias = Callable[[str], None]
SIMPLIFY: tuple[Pass, ...] = (
    dce,
    merge_affine,
    fuse_activation,
    fold_qdq,
    fold_constants,
    mean_first,
    cancel_transposes,
    fuse_pad,
    dce,
)
Memory: TypeAlias = Literal["fast", "balanced", "smallest"]
Numerics: TypeAlias = Literal["exact", "fast"]


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A project to write out, with everything that led to it."""

    module: Module
    program: Program
    plan: MemoryPlan
    files: dict[str, bytes]

    def write(self, folder: Path) -> None:
        """Write the C project."""
        for path, data in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """A way to lower a module; `memory` is the option that gives it, None if there is none."""

    memory: str | None
    modelled: float
    program: Program
    plan: MemoryPlan


@dataclass(frozen=True, slots=True)
class Training:
    """What the device shall learn, and how. `head` asks for a new classifier of so many classes."""

    plan: TrainPlan
    learning: Learning = field(default_factory=Learning)
    head: int | None = None
    head_kind: HeadKind = "float"

    def passes(self, io: tuple[Pass, ...]) -> tuple[Pass, ...]:
        """What makes `infer` of a simplified module trainable, and adds `train_step`; `io` are the passes of --io."""
        head = (Head(self.head, self.head_kind, self.learning.seed),) if self.head is not None else ()
        states = (RealLayers(self.plan), linear_as_conv, Front(self.plan), TrainStates(self.plan))
        bits = {"int8": 8, "int16": 16}.get(self.learning.gradients)
        rounded = (IntegerGradients(bits),) if bits else ()
        return (*head, dce, *io, *states, TrainStep(self.learning), dce, *rounded, hoist)


def silent(note: str) -> None:
    """Hears what passes have to tell the user, and keeps it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose. `io` is a set of caller, quantized, rows (DESIGN 7); `say` hears what the user should know.

    `memory`: "fast" takes the kernels with the fewest modelled instructions; "smallest" only as much scratch as leaves
    the peak at its lowest; "balanced" lets the peak grow by a quarter, if the board has room.
    `numerics`: "exact" gives the source runtime's bits, "fast" rounds as cheaply as it can.
    """

    io: frozenset[str] = frozenset()
    trace: Path | None = None
    memory: Memory = "balanced"
    numerics: Numerics = "exact"
    train: Training | None = None
    prefer: Prefer | None = None  # instead of what `memory` asks for
    simplify: tuple[Pass, ...] = SIMPLIFY  # what rewrites the graph first
    tokenizer: Tokenizer | None = None  # of a language model
    splits: tuple[Split, ...] = ()  # which of its products are in s8
    pruning: tuple[Pruned, ...] = ()  # what was measured when these were chosen
    caches: Caches | None = None  # its keys and values in few bits
    in_flight: int | None = None  # how many chunks of a prompt may be under way on two units
    rows: Rows | None = None  # its products in integers, by scales that are found as they come
    threads: Threads | None = None  # that share large calls
    say: Say = silent


def compile_model(module: Module, board: Board, options: Options = Options()) -> Compiled:
    """Module -> Module (passes) -> Program -> MemoryPlan -> files."""
    verify(module)
    if options.tokenizer and options.io:
        raise Unsupported("--io", "is not for models that speak", "leave it out")
    if options.threads and (not board.cpu.pool or options.io):
        raise Unsupported("--threads", "is not for --io" if options.io else f"{board.name} has no threads")
    first: tuple[Pass, ...] = (Outlier(options.splits),) if options.splits else ()
    first += (options.caches,) if options.caches else ()
    first += (options.rows,) if options.rows else ()
    passes = (*first, *options.simplify, *((fast_numerics,) if options.numerics == "fast" else ()))
    io = (io_quantized, dce) if "quantized" in options.io else ()
    passes += options.train.passes(io) if options.train else io
    module = run_passes(module, board, passes, options.trace, options.say)
    program, plan = lower(module, board, options)
    if options.memory == "balanced" and not fits(plan, board):
        program, plan = lower(module, board, replace(options, memory="smallest"))
    return finish(module, program, plan, board, options)


def finish(
    module: Module,
    program: Program,
    plan: MemoryPlan,
    board: Board,
    options: Options = Options(),
) -> Compiled:
    """The files, if the plan is right and fits the board."""
    chunks, tokenizer = prompt(module, program, board, options.in_flight), options.tokenizer
    plan = widen(plan, chunks)
    check_plan(program, plan)
    check_fit(program, plan, board)
    spoken = speech(module, tokenizer) if tokenizer else None
    stored = files(module) | ({TOKENS: tokenizer.data} if tokenizer else {})
    sizes = context(module) if speaks(module) else None
    rendered = render(program, plan, board, stored, spoken, chunks, sizes, options.pruning)
    return Compiled(module, program, plan, rendered)


def lower(module: Module, board: Board, options: Options) -> tuple[Program, MemoryPlan]:
    """Kernels for the nodes, then the order of the calls, then their places in memory; at last pieces for threads."""
    program, plan = _lowered(module, board, options)
    if options.threads is None:
        return program, plan
    program = options.threads(program)
    return program, plan_memory(program)


def _lowered(module: Module, board: Board, options: Options) -> tuple[Program, MemoryPlan]:
    if options.prefer or (options.memory == "fast" and "rows" not in options.io):
        program = by_units(order(_chosen(module, board, options.io, options.prefer or cheapest)))
        return program, plan_memory(program)
    ordered = order(_chosen(module, board, options.io, least_scratch), by_rows=True)
    return _by_rows(module, board, options.io, ordered, schedule(ordered, options.memory))


def choices(module: Module, board: Board, io: frozenset[str], between: int) -> Iterator[Way]:
    """Ways to lower a module that its passes have run over: those of --memory, and so many between."""
    ordered = order(_chosen(module, board, io, least_scratch), by_rows=True)
    if "rows" in io:
        plan = schedule(ordered, "fast")
        yield Way("fast", plan.cost, *_by_rows(module, board, io, ordered, plan))
    else:
        fast = _chosen(module, board, io, cheapest)
        modelled = sum(min(k.cost for k in c.candidates if not k.refused) for f in fast.functions for c in f.calls)
        program = order(fast)
        yield Way("fast", modelled, program, plan_memory(program))
    for name, plan in schedules(ordered, between):
        yield Way(name, plan.cost, *_by_rows(module, board, io, ordered, plan))


def _chosen(module: Module, board: Board, io: frozenset[str], prefer: Prefer) -> Program:
    """Kernel calls in the module's order; with `rows`, the first input comes row by row."""
    program = chains(select(module, board, "caller" in io, prefer), board)
    return stream(program) if "rows" in io else program


def _by_rows(
    module: Module, board: Board, io: frozenset[str], ordered: Program, plan: Plan
) -> tuple[Program, MemoryPlan]:
    """The kernels and the cascades of a plan; the better of the two ways that chains may go."""
    chosen = _chosen(module, board, io, plan.prefer(ordered))
    programs = [by_units(cascade(chosen, ordered, plan, turning)) for turning in (False, True)]
    return min(((p, plan_memory(p)) for p in programs), key=lambda found: found[1].arena)


def run_passes(
    module: Module, board: Board, passes: Iterable[Pass], trace: Path | None = None, say: Say = silent
) -> Module:
    """Run each pass and verify its result; `trace` receives the numbered text graphs, `say` the notes of passes."""
    for number, rewrite in enumerate(passes):
        if isinstance(rewrite, Front):
            for note in rewrite.notes(module):
                say(note)
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
