"""tte compile | plan | train | run | quantize | generate | report | boards | ops | doctor. Floor 13."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from tte.cli.about import boards_, doctor, ops
from tte.cli.console import ERR, OUT, guarded, say, show_json
from tte.cli.export import export
from tte.cli.generate import generate_
from tte.cli.language import Bits, Chunk, Context, Group, InFlight, Kv, SplitsFile, TokenizerFile, language
from tte.cli.options import (
    Accumulate,
    BoardName,
    GradientsName,
    HeadClasses,
    HeadKindName,
    Io,
    Json,
    LossName,
    Memory,
    NoQas,
    Numerics,
    OptimizerName,
    Plan,
    Seed,
    Sram,
    ThreadCount,
    Train,
    Update,
    numbers_list,
    options,
    size,
    training,
)
from tte.cli.plan import plan_
from tte.cli.quantize import quantize
from tte.cli.train import train_
from tte.data.feed import Pixels, random_inputs, read_inputs
from tte.ends import own_outputs
from tte.errors import TteError
from tte.load import Lengths
from tte.op import Arrays
from tte.peak import explain as explain_peak
from tte.pictures.png import write_png
from tte.record import Measured
from tte.report import frontier, layers, numbers, summary, why
from tte.running.session import Session, is_model, new_project, open_project, runnable
from tte.target import load_board

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Compile neural networks to plain C, and run it on boards, emulated where they are not this machine.",
)
cli.command("boards")(boards_)
cli.command("plan")(plan_)
cli.command("train")(train_)
cli.command("generate")(generate_)
cli.command()(quantize)
cli.command()(export)
cli.command()(ops)
cli.command()(doctor)
SHOWN = 10  # elements of an output
MOST = 10_000  # elements of an output in JSON


@cli.command("compile")
def compile_(
    model: Annotated[
        Path, typer.Argument(help="A .tflite or .onnx file; a .bin of llama2.c, a folder of Hugging Face, a .pt2.")
    ],
    board: BoardName,
    out: Annotated[Path, typer.Option("--output", "-o", help="The folder to write; a project of tte is replaced.")],
    tokenizer: TokenizerFile = None,
    chunk: Chunk = None,
    chunks_in_flight: InFlight = None,
    context: Context = None,
    w8a8: SplitsFile = None,
    kv: Kv = None,
    bits: Bits = None,
    group: Group = None,
    threads: ThreadCount = None,
    io: Io = None,
    memory: Memory = None,
    numerics: Numerics = None,
    sram: Sram = None,
    train: Train = False,
    plan: Plan = None,
    head: HeadClasses = None,
    head_kind: HeadKindName = None,
    optimizer: OptimizerName = None,
    update: Update = None,
    accumulate: Accumulate = None,
    loss: LossName = None,
    gradients: GradientsName = None,
    no_qas: NoQas = False,
    seed: Seed = None,
    trace: Annotated[Path | None, typer.Option(help="Write the graph after every pass to this folder.")] = None,
    build: Annotated[bool, typer.Option(help="Also build and run it, to know its sizes and instructions.")] = True,
    as_json: Json = False,
) -> None:
    """Write the C project of MODEL, which `make` builds without Python."""
    target = load_board(board).limited(size("--sram", sram))
    learning = training(train, plan, head, head_kind, optimizer, update, accumulate, loss, no_qas, seed, gradients)
    chosen = replace(options(io, memory, numerics, trace, learning, threads), say=say)
    speaking, note = language(chosen, model, tokenizer, w8a8, bits, group, kv, chunks_in_flight)
    with new_project(model, target, speaking, out, Lengths(chunk, context)) as session:
        measured = session.measure() if build and runnable(target) else None
    if note:
        say(note)
    if build and not measured:
        ERR.print(f"tte: {target.name}: not built, tools are missing (tte doctor)", markup=False)
    _tell(session, measured, [], as_json)


@cli.command()
def run(
    model: Annotated[Path, typer.Argument(help="A .tflite or .onnx file, or a folder of `tte compile`.")],
    board: Annotated[str | None, typer.Option("--board", "-b", help="As in compile; host without.")] = None,
    inputs: Annotated[
        list[Path] | None, typer.Option("--input", help="A .npy file or an image; one per input.")
    ] = None,
    outputs: Annotated[list[Path] | None, typer.Option("--output", help="Where to save; one .npy per output.")] = None,
    mean: Annotated[str, typer.Option(help="Of pixels between 0 and 1, one or one per channel: 0.5,0.5,0.5.")] = "",
    std: Annotated[str, typer.Option(help="As --mean; a float input gets (pixel / 255 - mean) / std.")] = "",
    seed: Annotated[int, typer.Option(help="Of random inputs, where no --input is given.")] = 0,
    io: Io = None,
    memory: Memory = None,
    numerics: Numerics = None,
    as_json: Json = False,
) -> None:
    """Run a model, or a compiled project, on its board or an emulator of it."""
    pixels = Pixels(numbers_list("--mean", mean), numbers_list("--std", std))
    if not is_model(model):
        if io or memory or numerics:
            raise TteError(str(model), "is compiled: --io, --memory and --numerics were decided then")
        _run(open_project(model, board), inputs or [], outputs or [], pixels, seed, as_json)
        return
    chosen = options(io, memory, numerics)
    with (
        tempfile.TemporaryDirectory(prefix="tte-") as name,
        new_project(model, load_board(board or "host"), chosen, Path(name) / "project") as session,
    ):
        _run(session, inputs or [], outputs or [], pixels, seed, as_json)


@cli.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A folder of `tte compile`.")],
    explain: Annotated[bool, typer.Option("--why", help="Tell why each layer got its kernel.")] = False,
    png: Annotated[Path | None, typer.Option(help="Also draw the report's pictures to this file.")] = None,
    choices: Annotated[
        bool, typer.Option("--frontier", help="Compile it in other ways: memory, instructions.")
    ] = False,
    counted: Annotated[bool, typer.Option(help="With --frontier: build and run them all.")] = False,
    as_json: Json = False,
) -> None:
    """Build and run a project, tell what it takes, layer by layer, and write it to report.html."""
    session = open_project(folder)
    able = runnable(session.board)
    if counted and not (choices and able):
        raise TteError("--counted", "needs the board's tools (tte doctor)" if choices else "belongs to --frontier")
    measured = session.measure() if able else None
    points = session.frontier(counted) if choices else []
    if measured or points:
        session.explain(measured, points)
    if png:
        write_png(png, session.pictures(points))
    if as_json:
        show_json(
            numbers(session.record, measured, []) | ({"frontier": [asdict(p) for p in points]} if choices else {})
        )
        return
    for work in session.record.functions:
        if work.name != "infer":
            OUT.print(work.name)
        OUT.print(layers(work, measured))
        OUT.print()
    _tell(session, measured, [], as_json)
    for work in session.record.functions:
        name = "" if work.name == "infer" else f"{work.name}: "
        OUT.print(f"\n{name}{explain_peak(session.record, work)}", markup=False)
    if points:
        OUT.print()
        OUT.print(frontier(points))
    if explain:
        OUT.print("\n".join(why(session.record)), markup=False)


def app() -> None:
    """Entry point."""
    sys.exit(guarded(lambda: cli(standalone_mode=False)))


def _run(session: Session, inputs: list[Path], outputs: list[Path], pixels: Pixels, seed: int, as_json: bool) -> None:
    """Run on files or at random; save, and tell."""
    wanted = own_outputs(session.module)
    if len(outputs) > len(wanted):
        raise TteError("--output", f"the model has {len(wanted)} outputs, not {len(outputs)}")
    given = read_inputs(session.module, inputs, pixels) if inputs else random_inputs(session.module, seed)
    found, measured = session.run([given])
    for path, array in zip(outputs, found.outputs[0], strict=False):
        with path.open("wb") as file:
            np.save(file, array)
    _tell(session, measured, _outputs(session, found.outputs[0]), as_json)


def _tell(session: Session, measured: Measured | None, outputs: list[dict[str, object]], as_json: bool) -> None:
    if as_json:
        show_json(numbers(session.record, measured, outputs))
        return
    for row in outputs:
        OUT.print(f"{row['name']}: {row['dtype']}{row['shape']} = {row['shown']}", markup=False)
    if outputs:
        OUT.print()
    OUT.print(summary(session.record, session.board, measured))


def _outputs(session: Session, arrays: Arrays) -> list[dict[str, object]]:
    """Each output with its elements, in order; none where they are too many for JSON."""
    rows: list[dict[str, object]] = []
    for value, array in zip(own_outputs(session.module), arrays, strict=True):
        flat = array.ravel()
        head = ", ".join(f"{x:.6g}" for x in flat[:SHOWN].tolist()) + (", ..." if flat.size > SHOWN else "")
        top = f" (highest at {int(flat.argmax())})" if flat.size > 1 else ""
        rows.append(
            {
                "name": value.source or value.name,
                "dtype": str(array.dtype),
                "shape": list(array.shape),
                "values": flat.tolist() if flat.size <= MOST else None,
                "shown": f"[{head}]{top}",
            }
        )
    return rows
