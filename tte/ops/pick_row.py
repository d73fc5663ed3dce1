"""The last row of a chunk. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.shapes import chunk
from tte.types import DType, TensorType

F32, S32 = DType.F32, DType.S32


@dataclass(frozen=True, slots=True)
class PickRow(Op):
    """y[1,d] = row count - 1 of x[n,d], or the nearest one that there is; span: see tte/shapes/chunk.py."""

    operands = ("x", "span")
    kernels = (Kernel("tte_pick_row_f32", "pick_row.h", (F32, S32), (F32,), per_out=3.0),)

    def infer(self, *types: TensorType) -> Types:
        """x[n,d] gives y[1,d]."""
        x, span = types
        chunk.check(self.label(), span, x)
        self.expect(len(x.shape) == 2, f"x must be a matrix, not {x}")
        return (TensorType((1, x.shape[1]), F32),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Elements stay as they are."""
        x, span = args
        at = int(np.clip(int(span[1]) - 1, 0, x.shape[0] - 1))
        return (x[at : at + 1],)

    def params(self, ins: Types, outs: Types) -> Params:
        """Rows, elements of one."""
        n, d = ins[0].shape
        return {"n": n, "d": d}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """The first row, one within, the last; none, too many; one row."""
        least, most = -(2**31), 2**31 - 1
        return (
            *chunk.examples(cls(), TensorType((4, 5), F32), spans=((9, 1), (0, 3), (0, 4), (3, 0), (0, most))),
            *chunk.examples(cls(), TensorType((1, 5), F32), spans=((0, 1), (0, least))),
        )
