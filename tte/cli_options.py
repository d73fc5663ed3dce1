"""Options that several commands share. Floor 7."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from tte import driver
from tte.errors import TteError

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

Sram = Annotated[str | None, typer.Option(help="Bytes of sram to use instead of all that the board has, such as 128K.")]


def options(io: str | None, memory: str | None, numerics: str | None, trace: Path | None) -> driver.Options:
    """The driver's options, from the words of the command line."""
    words = frozenset(filter(None, (io or "").split(",")))
    for word in words:
        one_of("--io", word, IO)
    return driver.Options(
        io=words,
        trace=trace,
        memory=cast(driver.Memory, one_of("--memory", memory or "balanced", get_args(driver.Memory))),
        numerics=cast(driver.Numerics, one_of("--numerics", numerics or "exact", get_args(driver.Numerics))),
    )


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
