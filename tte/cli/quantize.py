"""tte quantize: scales and shadows of a language model's products, from texts. Floor 12."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from tte.cli.console import OUT, progress, show_json
from tte.cli.language import TokenizerFile
from tte.cli.options import MAX_SEED, Json
from tte.errors import TteError
from tte.frontend.words import read_words
from tte.language.calibration import CacheTrial, Calibration, Trial, calibrate, try_caches
from tte.language.reading import sample
from tte.language.speech import context, speech
from tte.language.splits import Choice, written
from tte.language.tokenizer import Tokenizer
from tte.load import load_model
from tte.ops.linear import Linear
from tte.passes.npu.outlier import Outlier
from tte.passes.quantize.caches import Caches
from tte.record import Pruned
from tte.target import load_board
from tte.types import Array


def quantize(
    model: Annotated[
        Path, typer.Argument(help="A language model: a .bin of llama2.c, a folder of Hugging Face, a .pt2.")
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="The .toml file to write, for compile's --w8a8.")],
    text: Annotated[Path | None, typer.Option(help="What the model shall read; what it says itself without.")] = None,
    tokenizer: TokenizerFile = None,
    texts: Annotated[int, typer.Option(min=1, help="How many pieces of text.")] = 64,
    tokens: Annotated[int, typer.Option(min=2, help="Tokens of each.")] = 128,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of what it says itself.")] = 0,
    as_json: Json = False,
) -> None:
    """Choose static s8 scales, channels apart from the clamp, and the bits of caches, by the loss on texts."""
    module = load_model(model)
    length = min(tokens, context(module).seq)
    if not any(n.op == Linear() for n in module.graph("decode").nodes):
        raise TteError(str(model), "has no products in f32")
    if (text is None) != (tokenizer is None):
        raise TteError("--text", "and --tokenizer belong together")
    with progress(f"drawing {texts} texts"):
        if text and tokenizer:
            read = pieces(text, speech(module, read_words(tokenizer)).tokenizer, texts, length)
        else:
            read = sample(module, texts, length, seed)
    with progress(f"{model.name} reads them again and again"):
        board = load_board("host")
        found = calibrate(module, board, read)
        caches, cache = try_caches(Outlier(found.chosen.splits)(module, board), board, read)
    curve = tuple(
        Pruned(t.pruned, _channels(t), _rise(t, found.floats), t is found.chosen)
        for t in found.curve
        if len(found.curve) > 1
    )
    out.write_text(written(Choice(found.chosen.splits, Caches(cache.values) if cache.values else None, curve)))
    _tell(found, caches, cache, as_json)


def pieces(path: Path, tokenizer: Tokenizer, texts: int, length: int) -> Array:
    """So many pieces of a text, evenly spaced, each of so many tokens from BOS on: s32[texts, length]."""
    data, room = path.read_bytes(), length * tokenizer.longest
    starts = np.linspace(0, max(0, len(data) - room), texts).astype(int).tolist()
    found = [tokenizer.encode(data[at : at + room])[:length] for at in dict.fromkeys(starts)]
    whole = [one for one in found if len(one) == length]
    if not whole:
        raise TteError(str(path), f"holds fewer than {length} tokens", "take a longer text, or fewer --tokens")
    return np.asarray(whole, np.int32)


def _tell(found: Calibration, caches: Sequence[CacheTrial], cache: CacheTrial, as_json: bool) -> None:
    """Each trial's rise of the perplexity over f32, measured on the texts; the chosen ones are marked."""
    trials = (*found.rules, *found.curve[1:])
    if as_json:
        rows = [{**_numbers(t, found.floats), "chosen": t is found.chosen} for t in trials]
        kept = [
            {"values": c.values, "bytes": c.bytes, "rise": _rise(c, found.floats), "chosen": c is cache} for c in caches
        ]
        show_json({"perplexity": math.exp(found.floats), "trials": rows, "caches": kept})
        return
    table = Table("scales", "shadows pruned", "channels", "perplexity", "", box=None, pad_edge=False)
    for t in trials:
        n = _numbers(t, found.floats)
        mark = "chosen" if t is found.chosen else ""
        table.add_row(t.rule, f"{t.pruned:.0%}", str(n["channels"]), f"{n['rise']:+.2%}", mark)
    sizes = Table("caches", "bytes", "perplexity", "", box=None, pad_edge=False)
    for c in caches:
        told = f"keys in 8 bits, values in {c.values}" if c.values else "f32"
        sizes.add_row(told, f"{c.bytes:,}", f"{_rise(c, found.floats):+.2%}", "chosen" if c is cache else "")
    OUT.print(f"perplexity in f32: {math.exp(found.floats):.4f}, measured on these texts; bytes counted\n")
    OUT.print(table)
    OUT.print()
    OUT.print(sizes)


def _numbers(t: Trial, floats: float) -> dict[str, object]:
    return {"scales": t.rule, "pruned": t.pruned, "channels": _channels(t), "rise": _rise(t, floats)}


def _channels(t: Trial) -> int:
    """How many have a shadow."""
    return sum(len(s.channels) for s in t.splits)


def _rise(t: Trial | CacheTrial, floats: float) -> float:
    """Of the perplexity, over that of the float model."""
    return math.expm1(t.loss - floats)
