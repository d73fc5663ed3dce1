"""Files of safetensors: named tensors, all given as float32.

Eight bytes of the header's length, a header in JSON - of each tensor its type, shape, and where it begins and ends -
and the elements. Source: github.com/huggingface/safetensors, README, "Format". Floor 3.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np

from tte.errors import BadModel, Unsupported
from tte.types import Array

LENGTH = 8  # bytes that say how long the header is


def _floats(raw: Array) -> Array:
    return raw.view("<f4").astype(np.float32)


def _halves(raw: Array) -> Array:
    return raw.view("<f2").astype(np.float32)


def _brains(raw: Array) -> Array:
    """The upper half of a float32 each."""
    return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)


KINDS: dict[str, tuple[int, Callable[[Array], Array]]] = {
    "F32": (4, _floats),
    "F16": (2, _halves),
    "BF16": (2, _brains),
}


def read_safetensors(path: Path) -> dict[str, Array]:
    """The tensors by name; BadModel where the file is broken, Unsupported where they are no floats."""
    size = path.stat().st_size
    with path.open("rb") as file:
        begin = file.read(LENGTH)
        length = int.from_bytes(begin, "little")
        if size < LENGTH or length > size - LENGTH:
            raise BadModel(str(path), f"holds {size} bytes, too few: it is cut short, or no file of safetensors")
        try:
            header: object = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise BadModel(str(path), "begins with no header of safetensors") from error
    if not isinstance(header, dict):
        raise BadModel(str(path), "begins with no header of safetensors")
    start = LENGTH + length
    data = np.memmap(path, np.uint8, "r", offset=start) if size > start else np.zeros(0, np.uint8)
    return {name: _tensor(path, name, entry, data) for name, entry in header.items() if name != "__metadata__"}


def _tensor(path: Path, name: str, entry: object, data: Array) -> Array:
    """One tensor, after all that its entry says was checked."""
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(first), int(end)]}:
            pass
        case _:
            raise BadModel(str(path), f"the entry of {name} is not one of safetensors")
    if dtype not in KINDS:
        raise Unsupported(str(path), f"{name} is of type {dtype}", f"known: {', '.join(KINDS)}")
    size, read = KINDS[dtype]
    if any(type(n) is not int or n < 0 for n in shape) or end - first != prod(shape) * size or first < 0:
        raise BadModel(str(path), f"the entry of {name} contradicts itself: {shape} of {dtype} in {end - first} bytes")
    if end > data.size:
        raise BadModel(str(path), f"ends within {name}", "it is cut short")
    return read(np.asarray(data[first:end])).reshape(shape)
