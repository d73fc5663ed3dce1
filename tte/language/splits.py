"""Scales and shadows of a model, and the bits of its caches, as a TOML file, which a person may read and change.

    [cache]
    values = 4

    [[pruned]]
    share = 0.25
    channels = 120
    rise = 0.0042
    chosen = true

    [[input]]
    weights = ["q0_w", "k0_w", "v0_w"]
    scale = 0.0173
    channels = [5, 40]

Without [cache], caches are in f32; with it, keys are in 8 bits and values in 8 or 4. What [[pruned]] says is for the
report alone.

Floor 6.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from tte.errors import TteError
from tte.passes.npu.outlier import Split
from tte.passes.quantize.caches import Caches
from tte.record import Pruned

KEYS = {"weights", "scale", "channels"}
TABLES = {"input", "cache", "pruned"}


@dataclass(frozen=True, slots=True)
class Choice:
    """What `tte quantize` chose, and what it measured on the way."""

    splits: tuple[Split, ...] = ()
    caches: Caches | None = None
    pruning: tuple[Pruned, ...] = ()


def written(choice: Choice) -> str:
    """The file's text."""
    cache = [f"[cache]\nvalues = {choice.caches.values}\n"] if choice.caches else []
    curve = [f"[[pruned]]\n{_lines(asdict(p))}" for p in choice.pruning]
    inputs = [f"[[input]]\n{_lines(asdict(s))}" for s in choice.splits]
    return "\n".join((*cache, *curve, *inputs))


def _lines(table: Mapping[str, object]) -> str:
    """A TOML table of what JSON writes likewise."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())


def read_splits(path: Path) -> Choice:
    """What is in a file; TteError, in one line, where there are none."""
    try:
        return parse_splits(str(path), path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TteError(str(path), f"cannot be read as text: {error}") from error


def parse_splits(where: str, text: str) -> Choice:
    """What a file's text says."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TteError(where, str(error)) from error
    inputs, cache, pruned = (table.get(key) for key in ("input", "cache", "pruned"))
    if not {"input"} <= table.keys() <= TABLES or not isinstance(inputs, list):
        raise TteError(
            where, "must be [[input]] tables, and perhaps [cache] and [[pruned]]", "tte quantize MODEL -o FILE"
        )
    if cache not in (None, {"values": 8}, {"values": 4}):
        raise TteError(where, "of [cache] it says `values = 8` or `values = 4`")
    splits = tuple(_split(where, one) for one in cast(list[object], inputs))
    try:
        return Choice(splits, cache and Caches(cache["values"]), tuple(Pruned(**p) for p in pruned or ()))
    except TypeError as error:
        raise TteError(where, "a [[pruned]] has share, channels, rise and chosen") from error


def _split(where: str, one: object) -> Split:
    table = cast(dict[str, object], one) if isinstance(one, dict) else {}
    weights, scale, channels = (table.get(k) for k in ("weights", "scale", "channels"))
    if table.keys() != KEYS or not _all(weights, str) or not weights or not _all(channels, int):
        raise TteError(where, "an input has names of weights, a scale, and a list of channels")
    if not isinstance(scale, float) or not 0 < scale < math.inf:
        raise TteError(where, f"the scale {scale} must be a number above 0")
    return Split(tuple(cast(list[str], weights)), scale, tuple(cast(list[int], channels)))


def _all(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(type(v) is kind for v in cast(list[object], value))
