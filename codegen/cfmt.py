"""Numbers, arrays and declarations as C. Floor 3."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable

import numpy as np

from tte.types import Array, DType

CTYPES = {d.numpy: d.c for d in DType}


def number(x: float | int | np.generic) -> str:
    """A literal that reads back to the same bits; -2**31 has no literal of type int, infinity and nan none at all."""
    if isinstance(x, (float, np.floating)):
        if math.isinf(x):
            return f"{'-' if x < 0 else ''}__builtin_inff()"
        if math.isnan(x):
            return '__builtin_nanf("")'
        text = f"{np.float32(x):.9g}"
        return text + ("f" if set(text) & set(".e") else ".0f")
    return "INT32_MIN" if int(x) == -(2**31) else str(int(x))


def initialiser(array: Array) -> str:
    """`{1, 2, ...}`, sixteen to a line."""
    flat = array.ravel()
    cells = [number(x) for x in flat] if flat.dtype.kind == "f" else list(map(str, flat.tolist()))
    if flat.dtype == np.int32:
        cells = ["INT32_MIN" if c == "-2147483648" else c for c in cells]
    lines = [", ".join(cells[i : i + 16]) for i in range(0, len(cells), 16)]
    return "{\n    " + ",\n    ".join(lines) + ",\n}"


def filled(parts: Iterable[str], indent: int, end: str = "", start: int = 0) -> str:
    """Parts with commas between, in lines of at most 110 columns; the first begins at `start`, others are indented."""
    lines, room = [""], 110 - max(indent, start)
    listed = [*parts]
    for i, part in enumerate(listed):
        text = part + ("," if i + 1 < len(listed) else end)
        if lines[-1] and len(lines[-1]) + 1 + len(text) > room:
            lines.append(text)
            room = 110 - indent
        else:
            lines[-1] += f" {text}" if lines[-1] else text
    return f"\n{' ' * indent}".join(lines)


def comment(text: str, indent: int) -> str:
    """A comment of one or more lines."""
    lines = textwrap.wrap(text, 106 - indent, break_long_words=False, break_on_hyphens=False)
    return "/* " + f"\n{' ' * (indent + 3)}".join(lines) + " */"


def array(name: str, value: Array) -> str:
    """The declarator of a constant array, without storage class: `const int8_t w[12]`."""
    return f"const {CTYPES[value.dtype]} {name}[{value.size}]"
