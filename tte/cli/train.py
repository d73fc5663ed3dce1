"""The command line of training: tte train. Floor 10."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table

from tte.cli.console import OUT, counted, progress, show_json
from tte.cli.options import MAX_SEED, Json, numbers_list
from tte.codegen.svg import svg
from tte.data.dataset import read_dataset
from tte.data.feed import Pixels
from tte.driver import Options, compile_model
from tte.ends import own_inputs
from tte.errors import TteError
from tte.pictures.curves import curves
from tte.pictures.picture import Picture
from tte.pictures.png import write_png
from tte.running.device import Device
from tte.running.emulate import build
from tte.running.session import Session, open_project
from tte.target import load_board
from tte.training.course import Course, Epoch, Schedule
from tte.training.loop import Lessons, lessons, train
from tte.training.trained import read_trained

PICTURES = (".svg", ".png")
MOST_CLASSES = 40  # that are told one by one


def train_(
    folder: Annotated[Path, typer.Argument(help="A folder of `tte compile --train`.")],
    data: Annotated[Path, typer.Option(help="A folder or .zip of class/file or train/class/file, or a .npz.")],
    test: Annotated[Path | None, typer.Option(help="What to test on; else a part of --data.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="How often each example is learned from.")] = 10,
    rate: Annotated[
        float | None, typer.Option(min=0, help="The highest learning rate; else the project's own.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of the order of the examples, and of rounding.")] = 0,
    mean: Annotated[str, typer.Option(help="Of pixels between 0 and 1, as in tte run.")] = "",
    std: Annotated[str, typer.Option(help="As in tte run.")] = "",
    weights: Annotated[Path | None, typer.Option(help="Start from what --out wrote, or the device exported.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to save what was trained, after every epoch, a .npz.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw loss and accuracy to this .svg or .png.")] = None,
    board: Annotated[
        str | None, typer.Option("--board", "-b", help="Train here instead; the bits are the same.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a compiled model on labelled samples: its own C program, on its board or an emulator of it."""
    check_picture(picture)
    session = open_project(folder)
    module = session.module
    if all(g.name != "train_step" for g in module.graphs):
        raise TteError(str(folder), "does not train", "tte compile --train")
    with progress(f"reading {data}"):
        found = read_dataset(data, own_inputs(module)[0], seed, test)
    given = lessons(module, found, Pixels(numbers_list("--mean", mean), numbers_list("--std", std)))
    initial = {s.value.name: s.init for s in module.states}
    schedule = Schedule(float(initial["rate"][0]) if rate is None else rate, epochs * len(found.train))
    with _device(session, board) as device:
        _start(device, weights, seed)
        course = _trained(device, given, epochs, schedule, seed, out)
    if picture:
        draw(picture, curves(course, module.name))
    if as_json:
        told = {"model": module.name, "board": device.board.name, "rate": schedule.rate, "classes": found.classes}
        show_json(told | asdict(course))
    else:
        _tell(course, found.classes)


@contextmanager
def _device(session: Session, board: str | None) -> Generator[Device]:
    """The project's program; of another board, the same graphs compiled for that."""
    if board is None or load_board(board).name == session.board.name:
        with progress(f"building {session.record.model} for {session.board.name}"):
            elf = build(session.folder, session.board)
        yield Device(session.module, elf, session.board)
        return
    other = load_board(board)
    with tempfile.TemporaryDirectory(prefix="tte-") as name:
        with progress(f"building {session.record.model} for {other.name}"):
            compile_model(session.module, other, Options(simplify=())).write(Path(name))
            elf = build(Path(name), other)
        yield Device(session.module, elf, other)


def _start(device: Device, weights: Path | None, seed: int) -> None:
    """Set the states that training starts from."""
    if weights is None:
        device.states = {"clock": np.array([0, seed], np.int32)}
        return
    device.states = read_trained(weights, device.module)


def _trained(device: Device, given: Lessons, epochs: int, schedule: Schedule, seed: int, out: Path | None) -> Course:
    """The course, while a bar tells how far it is; what was learned is saved after each epoch."""
    each = len(given.data.train) + len(given.data.test)
    with counted(f"training {given.module.name}", epochs * each + len(given.data.test)) as tell:

        def heard(seen: int, epoch: Epoch | None) -> None:
            if epoch and out:
                _save(out, device)
            tell(seen, _shown(epoch) if epoch else "")

        return train(device, given, epochs, schedule, seed, heard)


def _save(path: Path, device: Device) -> None:
    """Whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("wb") as file:
        np.savez(file, allow_pickle=False, **device.states)
    fresh.replace(path)


def _shown(epoch: Epoch) -> str:
    told = [f"epoch {epoch.number}"]
    told += [f"loss {epoch.loss:.3f}"] if epoch.loss is not None else []
    return ", ".join([*told, *([f"{epoch.test:.1%} of the tests"] if epoch.test is not None else [])])


def check_picture(path: Path | None) -> None:
    """Refuse what `draw` cannot write."""
    if path and path.suffix.lower() not in PICTURES:
        raise TteError(str(path), "is neither a .svg nor a .png")


def draw(path: Path, picture: Picture) -> None:
    """As a .png, or else as a .svg."""
    if path.suffix.lower() == ".png":
        write_png(path, [picture])
    else:
        path.write_text(svg(picture))


def _tell(course: Course, classes: tuple[str, ...]) -> None:
    """Epochs, and what became of each class."""
    table = Table(box=None, pad_edge=False)
    for name in ("epoch", "loss", "training", "tests"):
        table.add_column(name, justify="right")
    for e in course.epochs:
        table.add_row(str(e.number), "" if e.loss is None else f"{e.loss:.4g}", _share(e.train), _share(e.test))
    OUT.print(table)
    first, last = course.epochs[0], course.epochs[-1]
    if first.test is None:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("tests of", "before", "after"):
        table.add_column(name, justify="left" if name == "tests of" else "right")
    if len(classes) <= MOST_CLASSES:
        for name, *shares in zip(classes, first.tested, last.tested, strict=True):
            table.add_row(escape(name), *map(_share, shares))
    table.add_row("all classes", _share(first.test), _share(last.test))
    OUT.print()
    OUT.print(table)


def _share(part: float | None) -> str:
    return "" if part is None else f"{part:.1%}"
