"""The command line of planning: tte plan. Floor 12."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, cast, get_args

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table

from tte.cli.console import OUT, counted, progress, show_json
from tte.cli.options import (
    MAX_SEED,
    BoardName,
    HeadClasses,
    HeadKindName,
    Io,
    Json,
    numbers_list,
    one_of,
    options,
    size,
)
from tte.cli.train import check_picture, draw
from tte.data.dataset import read_dataset
from tte.data.feed import Pixels
from tte.driver import SIMPLIFY, Training, run_passes
from tte.ends import own_inputs
from tte.errors import TteError
from tte.load import load_model
from tte.passes.quantize.io_quantized import io_quantized
from tte.passes.simplify.dce import dce
from tte.passes.training.head import Head, HeadKind
from tte.pictures.plans import Spot, plan_picture, useful
from tte.target import load_board
from tte.training.bench import drawn
from tte.training.budget import Budget
from tte.training.learning import Learning
from tte.training.loop import lessons
from tte.training.notebook import Notebook
from tte.training.plan import TrainPlan
from tte.training.search import Candidate, Outcome, search
from tte.training.trials import Exam, Trials
from tte.training.workers import workers

RATE = 0.004  # above a device's own, as trials are short; below what makes project or depthwise weights diverge
SAMPLES, HELD, EPOCHS = 256, 200, 2


def plan_(
    model: Annotated[Path, typer.Argument(help="A .tflite or .onnx file.")],
    data: Annotated[Path, typer.Option(help="As in tte train; what it has for tests is left alone.")],
    board: BoardName,
    out: Annotated[
        Path, typer.Option("--output", "-o", help="The plan to write; a .jsonl of this name keeps results.")
    ],
    sram: Annotated[
        str | None, typer.Option(help="Bytes of sram, stack included, such as 128K; all that the board has without.")
    ] = None,
    head: HeadClasses = None,
    head_kind: HeadKindName = None,
    io: Io = None,
    mean: Annotated[str, typer.Option(help="Of pixels between 0 and 1, as in tte run.")] = "",
    std: Annotated[str, typer.Option(help="As in tte run.")] = "",
    samples: Annotated[int, typer.Option(min=2, help="How many a trial learns from.")] = SAMPLES,
    held: Annotated[int, typer.Option(min=1, help="How many others it is tested on.")] = HELD,
    epochs: Annotated[
        int, typer.Option(min=1, help="How often it learns from each; for the best plans, thrice.")
    ] = EPOCHS,
    rate: Annotated[float, typer.Option(min=0, help="The highest learning rate of a trial.")] = RATE,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of the head, the samples and the rounding.")] = 0,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time; as many as there are cores without.")
    ] = None,
    dask: Annotated[str | None, typer.Option(help="A dask scheduler's address, whose workers make the trials.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the plans to this .svg or .png.")] = None,
    as_json: Json = False,
) -> None:
    """Find what to train within a board's memory, by trials on your data; ended at any time, it goes on from there."""
    check_picture(picture)
    if out.suffix != ".toml":
        raise TteError(str(out), "is no .toml")
    kind = cast(HeadKind, one_of("--head-kind", head_kind or "float", get_args(HeadKind)))
    target = load_board(board).limited(size("--sram", sram))
    words = options(io, "smallest", None).io
    passes = (*SIMPLIFY, *((Head(head, kind, seed),) if head is not None else ()), dce)
    passes += (io_quantized, dce) if "quantized" in words else ()
    with progress(f"reading {model} and {data}"):
        module = run_passes(load_model(model), target, passes)
        found = read_dataset(data, own_inputs(module)[0], seed)
        given = lessons(module, found, Pixels(numbers_list("--mean", mean), numbers_list("--std", std)))
        parts = drawn(found.train, samples, held, seed)
    exam = Exam(module, Training(TrainPlan(), Learning(seed=seed)), given, *parts, rate, seed)
    compiled = _digest(version("tte"), model.read_bytes(), board, sorted(words), head, kind, seed)
    tried = _digest(*(a for part in parts for a in (part.x, part.labels)), compiled, mean, std, rate)
    out.parent.mkdir(parents=True, exist_ok=True)
    path = out.with_suffix(".jsonl")
    budget = Budget(module, exam.training, target, words, Notebook(path, compiled))
    with workers(jobs or os.cpu_count() or 1, dask) as work:
        outcome = search(budget, Trials(exam, Notebook(path, tried), work, counted, TrainPlan()), epochs, counted)
    _write(out, str(outcome.finals[0].compiled.plan))
    spots = _spots(outcome)
    if picture:
        draw(picture, plan_picture(spots, budget.room, module.name))
    if as_json:
        show_json({"model": module.name, "board": target.name, "room": budget.room} | asdict(outcome))
    else:
        _tell(outcome, spots, budget.room)


def _digest(*parts: object) -> str:
    """A short name of what results depend on."""
    found = hashlib.sha256()
    for part in parts:
        data = part.tobytes() if isinstance(part, np.ndarray) else part if isinstance(part, bytes) else b""
        found.update(data or repr(part).encode())
    return found.hexdigest()[:16]


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    fresh.replace(path)


def _spots(outcome: Outcome) -> list[Spot]:
    """What was compiled, as marks of a picture."""
    best = outcome.finals[0].compiled.plan
    return [Spot(c.arena, 100 * (outcome.head.sure + c.gain), _called(c), c.plan == best) for c in outcome.compiled]


def _called(candidate: Candidate) -> str:
    """A plan in a few words."""
    plan = candidate.plan
    parts = [f"{p.layer}" + ("" if p.ratio == 1 else f" ({p.ratio:g})") for p in plan.parts]
    return (
        f"biases {plan.biases}" + (f", weights {' '.join(parts)}" if parts else "") if plan != TrainPlan() else "head"
    )


def _tell(outcome: Outcome, spots: list[Spot], room: int) -> None:
    """Contributions, the frontier, and the plans that were trained."""
    table = Table("contribution, measured", "points", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for c in outcome.contributions:
        table.add_row(escape(c.what), f"{100 * c.gain:+.1f}")
    OUT.print(table)
    table = Table("arena", "right class, promised", "plan", box=None, pad_edge=False)
    for s in useful(spots):
        mark = ", chosen" if s.chosen else "" if s.arena <= room else ", does not fit"
        table.add_row(f"{s.arena:,} B", f"{s.promise:.1f}%", s.name + mark)
    OUT.print()
    OUT.print(table)
    table = Table("arena", "right class", "right", "plan, trained by itself", box=None, pad_edge=False)
    for f in outcome.finals:
        table.add_row(f"{f.compiled.arena:,} B", f"{f.score.sure:.1%}", f"{f.score.right:.1%}", _called(f.compiled))
    OUT.print()
    OUT.print(table)
