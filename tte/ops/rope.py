"""Rotary position embedding. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.shapes import chunk
from tte.types import DType, TensorType

F32, S32 = DType.F32, DType.S32


@dataclass(frozen=True, slots=True)
class Rope(Op):
    """Pairs (a, b) of each head, turned: (a * cos - b * sin, a * sin + b * cos), by the row's position in table.

    x, y: [n, heads * head]; table[s, head/2, 2] holds (cos, sin) for each pair; span: tte/shapes/chunk.py. Pair j of a
    head is elements 2j and 2j + 1 ("pairs"), or j and j + head/2 ("halves").
    """

    head: int
    style: Literal["pairs", "halves"] = "pairs"

    operands = ("x", "table", "span")
    kernels = (Kernel("tte_rope_f32", "rope.h", (F32, F32, S32), (F32,), inplace=((0, 0),), per_out=6.0),)

    def infer(self, *types: TensorType) -> Types:
        """y is of the type of x."""
        x, table, span = types
        chunk.check(self.label(), span, x, table)
        self.expect(self.style in ("pairs", "halves"), f"there is no style {self.style!r}")
        self.expect(self.head > 0 and self.head % 2 == 0, f"a head of {self.head} is not of pairs")
        self.expect(len(x.shape) == 2 and x.shape[-1] % self.head == 0, f"{x} has no heads of {self.head}")
        wanted = (*table.shape[:1], self.head // 2, 2)
        self.expect(table.shape == wanted, f"the table must be [s, {self.head // 2}, 2], not {table}")
        return (x,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        x, table, span = args
        by = table[chunk.positions(span, x.shape[0], table.shape[0])][:, None]
        cos, sin = by[..., 0], by[..., 1]
        shape, axis = ((-1, self.head // 2, 2), 3) if self.style == "pairs" else ((-1, 2, self.head // 2), 2)
        heads = x.reshape(x.shape[0], *shape)
        a, b = heads.take(0, axis), heads.take(1, axis)
        return (np.stack([a * cos - b * sin, a * sin + b * cos], axis).reshape(x.shape),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Rows, heads, pairs of one, positions; how far the two of a pair, and two pairs, lie apart."""
        (x, table, _), half = ins, self.head // 2
        sizes: Params = {"n": x.shape[0], "heads": x.shape[1] // self.head, "half": half, "s": table.shape[0]}
        return sizes | ({"apart": 1, "step": 2} if self.style == "pairs" else {"apart": half, "step": 1})

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Both styles, one head and several, the beginning, the middle, and past both ends."""
        x, table = TensorType((3, 18), F32), TensorType((8, 3, 2), F32)
        one = TensorType((1, 2), F32), TensorType((1, 1, 2), F32)
        spans = (0, 3), (4, 1), (6, 3), (2**31 - 1, 1), (-2, 0)
        return (
            *chunk.examples(cls(6), x, table, spans=spans),
            *chunk.examples(cls(6, "halves"), x, table, spans=spans[:2]),
            *chunk.examples(cls(2), *one, spans=spans[:1]),
        )
