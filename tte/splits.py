"""Scales and shadows of a model as a TOML file, which a person may read and change.

    [[input]]
    weights = ["q0_w", "k0_w", "v0_w"]
    scale = 0.0173
    channels = [5, 40]

Floor 6.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from tte.errors import TteError
from tte.passes.npu.outlier import Split

KEYS = {"weights", "scale", "channels"}


def written(splits: Iterable[Split]) -> str:
    """The file's text."""
    return "\n".join(
        f"[[input]]\nweights = {json.dumps(s.weights)}\nscale = {s.scale!r}\nchannels = {json.dumps(s.channels)}\n"
        for s in splits
    )


def read_splits(path: Path) -> tuple[Split, ...]:
    """Those in a file; TteError, in one line, where there are none."""
    try:
        return parse_splits(str(path), path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TteError(str(path), f"cannot be read as text: {error}") from error


def parse_splits(where: str, text: str) -> tuple[Split, ...]:
    """Those of a file's text."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TteError(where, str(error)) from error
    inputs = table.get("input")
    if table.keys() != {"input"} or not isinstance(inputs, list):
        raise TteError(where, "must be [[input]] tables", "tte quantize MODEL --tokenizer FILE -o FILE")
    return tuple(_split(where, one) for one in cast(list[object], inputs))


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
