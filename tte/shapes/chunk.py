"""Where the rows of a chunk of tokens lie in a sequence, bit for bit runtime_c/tte_chunk.h.

span = (start, count), s32[2]: row i of a chunk is position start + i, and rows from `count` on are padding. Floor 2.
"""

from __future__ import annotations

import numpy as np

from tte.errors import BadModel
from tte.op import Arrays, Example, Op, Types
from tte.types import Array, DType, TensorType

SPAN = TensorType((2,), DType.S32)


def check(op: str, span: TensorType, *floats: TensorType) -> None:
    """Reject a span that is none, and what isn't f32 or is empty."""
    if span != SPAN:
        raise BadModel(op, f"the span must be {SPAN}, not {span}")
    for t in floats:
        if t.dtype is not DType.F32 or 0 in t.shape:
            raise BadModel(op, f"{t} is not f32, or is empty")


def positions(span: Array, n: int, s: int) -> Array:
    """Of rows 0..n-1, s64[n]; what lies outside 0..s-1 is at the nearest one inside."""
    found: Array = np.clip(int(span[0]) + np.arange(n, dtype=np.int64), 0, s - 1)
    return found


def examples(op: Op, *ins: TensorType, spans: tuple[tuple[int, int], ...]) -> tuple[Example, ...]:
    """Random floats, then each span."""
    drawn = Example.random(op, *ins)
    types: Types = (*ins, SPAN)
    found: list[Arrays] = [(*drawn.args, np.array(s, np.int32)) for s in spans]
    return tuple(Example(op, types, args) for args in found)
