"""Options that several commands share. Floor 7."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from tte import driver
from tte.errors import TteError
from tte.passes.threads import Threads
from tte.passes.training.head import HeadKind
from tte.training.learning import Gradients, Learning, Loss, Optimizer, Rule
from tte.training.plan import GENERIC, load_plan, plans

CAP = 0.006  # where weights of all kinds are trained, larger steps diverge (RECIPES)
MAX_SEED = 2**31 - 1
IO = ("caller", "quantized", "rows")
BoardName = Annotated[str, typer.Option("--board", "-b", help="A board of `tte boards`.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print a table for a README.")]
Io = Annotated[
    str | None,
    typer.Option(
        help="A comma list: caller (buffers outside the arena), quantized, rows (the input comes row by row)."
    ),
]
Memory = Annotated[str | None, typer.Option(help="fast, balanced (the default) or smallest.")]
Numerics = Annotated[str | None, typer.Option(help="exact (the default: the source runtime's bits) or fast.")]

Train = Annotated[bool, typer.Option("--train", help="Also generate train_step: the device learns.")]
Plan = Annotated[
    str | None,
    typer.Option(help=f"What is trained: {', '.join(GENERIC)}, {', '.join(plans())}, or a TOML file; full without."),
]
HeadClasses = Annotated[int | None, typer.Option("--head", help="A new classifier of so many classes.")]
HeadKindName = Annotated[str | None, typer.Option("--head-kind", help="float (the default) or int8.")]
OptimizerName = Annotated[
    str | None,
    typer.Option("--optimizer", help="sgd (the default), momentum, or adam, by which new networks learn sooner."),
]
Update = Annotated[
    str | None,
    typer.Option(help="How int8 weights keep small steps: stochastic (the default), residual8, residual16 or master."),
]
Accumulate = Annotated[int | None, typer.Option(help="Gradients whose mean is one update; 1 without.")]
LossName = Annotated[str | None, typer.Option("--loss", help="cross-entropy (the default) or mse.")]
GradientsName = Annotated[
    str | None, typer.Option("--gradients", help="f32 (the default), int8 or int16: faster, and without an FPU.")
]
NoQas = Annotated[bool, typer.Option("--no-qas", help="Step integers by their own gradients, to see what happens.")]
Seed = Annotated[int | None, typer.Option(min=0, max=MAX_SEED, help="Of a new head and of rounding; 0 without.")]
Sram = Annotated[str | None, typer.Option(help="Bytes of sram to use instead of all that the board has, such as 128K.")]
ThreadCount = Annotated[
    int | None, typer.Option("--threads", min=1, help="That share large calls, with the same bits.")
]


def options(
    io: str | None,
    memory: str | None,
    numerics: str | None,
    trace: Path | None = None,
    train: driver.Training | None = None,
    threads: int | None = None,
) -> driver.Options:
    """The driver's options, from the words of the command line."""
    words = frozenset(filter(None, (io or "").split(",")))
    for word in words:
        one_of("--io", word, IO)
    return driver.Options(
        io=words,
        trace=trace,
        train=train,
        threads=None if threads is None else Threads(threads),
        memory=cast(driver.Memory, one_of("--memory", memory or "balanced", get_args(driver.Memory))),
        numerics=cast(driver.Numerics, one_of("--numerics", numerics or "exact", get_args(driver.Numerics))),
    )


def training(
    train: bool,
    plan: str | None,
    head: int | None,
    head_kind: str | None,
    optimizer: str | None,
    update: str | None,
    accumulate: int | None,
    loss: str | None,
    no_qas: bool,
    seed: int | None,
    gradients: str | None = None,
) -> driver.Training | None:
    """What the device shall learn, from the words of the command line; None without --train."""
    given = (plan, head, head_kind, optimizer, update, accumulate, loss, no_qas or None, seed, gradients)
    if not train:
        if any(word is not None for word in given):
            raise TteError("--train", "is missing: --plan, --head, --optimizer and the like belong to it")
        return None
    chosen = cast(Optimizer, one_of("--optimizer", optimizer or "sgd", get_args(Optimizer)))
    every = 1 if accumulate is None else accumulate
    return driver.Training(
        load_plan(plan or "full"),
        Learning(
            loss=cast(Loss, one_of("--loss", loss or "cross-entropy", get_args(Loss))),
            optimizer=chosen,
            rule=cast(Rule, one_of("--update", update or "stochastic", get_args(Rule))),
            accumulate=every,
            rate=_rate(chosen, every),
            seed=seed or 0,
            gradients=cast(Gradients, one_of("--gradients", gradients or "f32", get_args(Gradients))),
            qas=not no_qas,
        ),
        head,
        cast(HeadKind, one_of("--head-kind", head_kind or "float", get_args(HeadKind))),
    )


def _rate(optimizer: Optimizer, accumulate: int) -> float:
    """The learning rate that a device begins with (RECIPES): in proportion to the gradients in an update, with a cap.

    With momentum a gradient acts in 1 / (1 - beta) steps. Adam's steps are of the rate's size whatever the gradient.
    """
    plain = min(Learning().rate * accumulate, CAP)
    return {"sgd": plain, "momentum": plain * (1 - Learning().beta1), "adam": 1e-3}[optimizer]


def size(option: str, text: str | None) -> int | None:
    """`131072` or `128K` as bytes, None for none."""
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,9})([kK]?)", text)
    if not found:
        raise TteError(option, f"{text!r} is no number of bytes", "such as 128K or 131072")
    return int(found[1]) * (1024 if found[2] else 1)


def one_of(option: str, word: str, known: tuple[str, ...]) -> str:
    """The word, if it is one of those."""
    if word not in known:
        raise TteError(option, f"there is no {word!r}", "known: " + ", ".join(known))
    return word


def numbers_list(option: str, text: str) -> tuple[float, ...]:
    """`0.5,0.25` as numbers."""
    try:
        return tuple(float(part) for part in text.split(",") if part)
    except ValueError as error:
        raise TteError(option, f"{text!r} is not a list of numbers") from error
