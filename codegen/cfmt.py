"""Numbers, arrays and declarations as C. Floor 3."""

from __future__ import annotations

import math

import numpy as np

from tte.types import Array, DType

CTYPES = {d.numpy: d.c for d in DType}


def number(x: float | int | np.generic) -> str:
    """A literal that reads back to the same bits; -2**31 has no literal of type int, infinity none at all."""
    if isinstance(x, (float, np.floating)):
        if math.isinf(x):
            return f"{'-' if x < 0 else ''}__builtin_inff()"
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


def array(name: str, value: Array) -> str:
    """The declarator of a constant array, without storage class: `const int8_t w[12]`."""
    return f"const {CTYPES[value.dtype]} {name}[{value.size}]"
