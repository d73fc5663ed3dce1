"""Options of language models. Floor 8."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tte.cli.options import one_of
from tte.driver import Options
from tte.errors import TteError
from tte.frontend.decoder import CHUNK
from tte.frontend.words import read_words
from tte.language.splits import Choice, read_splits
from tte.language.tokenizer import Tokenizer
from tte.passes.npu.prompts import IN_FLIGHT
from tte.passes.quantize.caches import Caches
from tte.passes.quantize.rows import Rows

KV = {"kv8": Caches(8), "k8v4": Caches(4)}
GROUP = 32
TOKENIZERS = ("tokenizer.json", "tokenizer.model")  # in a folder of Hugging Face
TokenizerFile = Annotated[
    Path | None,
    typer.Option(
        "--tokenizer",
        help="Of a language model: a file of llama2.c, a tokenizer.json or .model; the folder's own without.",
    ),
]
Chunk = Annotated[int | None, typer.Option(min=1, help=f"Tokens of a prompt that are taken at once; {CHUNK} without.")]
InFlight = Annotated[
    int | None,
    typer.Option("--chunks-in-flight", min=1, help=f"Chunks of a prompt under way on two units; {IN_FLIGHT} without."),
]
Context = Annotated[
    int | None, typer.Option(min=1, help="Positions of a text, fewer than the model's own: its caches are smaller.")
]
SplitsFile = Annotated[
    Path | None, typer.Option("--w8a8", help="Products in s8 with static scales: a file of tte quantize.")
]
Kv = Annotated[
    str | None, typer.Option("--kv", help="Keys and values in few bits: kv8, or k8v4 for values in 4 (tte quantize).")
]
Bits = Annotated[
    int | None,
    typer.Option(help="Of the weights of products: 8 or 4. What they are multiplied by gets 8, scaled row by row."),
]
Group = Annotated[
    int | None, typer.Option(help=f"With --bits 4: columns of weights that share a step; {GROUP} without.")
]


def language(
    options: Options,
    model: Path,
    tokenizer: Path | None,
    splits: Path | None,
    bits: int | None,
    group: int | None,
    kv: str | None,
    in_flight: int | None,
) -> tuple[Options, str]:
    """The driver's options with those of a language model, and what to tell of its tokenizer ("" for nothing)."""
    if splits and bits:
        raise TteError("--bits", "and --w8a8 are two ways to compute products of integers", "choose one")
    choice = read_splits(splits) if splits else Choice()
    if kv:
        choice = replace(choice, caches=KV[one_of("--kv", kv, tuple(KV))])
    words, note = _words(tokenizer, model)
    found = replace(options, splits=choice.splits, pruning=choice.pruning, caches=choice.caches)
    return replace(found, tokenizer=words, rows=_rows(bits, group), in_flight=in_flight), note


def _words(given: Path | None, model: Path) -> tuple[Tokenizer | None, str]:
    """The tokenizer that was given, or that of a folder; where ours cannot do what that one does, what to tell."""
    if given or not model.is_dir():
        return (read_words(given) if given else None), ""
    try:
        first = next((name for name in TOKENIZERS if (model / name).is_file()), TOKENIZERS[0])
        return read_words(model / first), ""
    except TteError as error:
        return None, f"{error}; no tokenizer in the project, which takes and gives numbers of tokens"


def _rows(bits: int | None, group: int | None) -> Rows | None:
    """Products of integers whose scales are found row by row; None without --bits."""
    if bits not in (None, 8, 4):
        raise TteError("--bits", f"is {bits}, which must be 8 or 4")
    if group is not None and (bits != 4 or group < 8 or group % 8):
        raise TteError("--group", "is a multiple of 8" if bits == 4 else "belongs to --bits 4")
    return None if bits is None else Rows((group or GROUP) if bits == 4 else None)
