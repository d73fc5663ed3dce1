"""The gradient of a map that was resized by the nearest neighbour. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.types import Array, DType, TensorType

F32 = DType.F32


@dataclass(frozen=True, slots=True)
class ResizeNearestGrad(Op):
    """y[1,h,w,c] = the sum of g[1,i,j,c] over all i, j with rows[i] and columns[j] that pixel; `shape` is (h, w)."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    shape: tuple[int, int]

    operands = ("g",)
    kernels = (Kernel("tte_resize_nearest_grad", "resize_nearest_grad.h", (F32,), (F32,), per_out=8.0),)

    def infer(self, *types: TensorType) -> Types:
        """g[1, len(rows), len(columns), c] gives y."""
        (g,) = types
        fits = len(g.shape) == 4 and g.shape[:3] == (1, len(self.rows), len(self.columns)) and g.dtype is F32
        self.expect(fits, f"g must be f32[1,{len(self.rows)},{len(self.columns)},c], not {g}")
        inside = max(self.rows) < self.shape[0] and max(self.columns) < self.shape[1]
        self.expect(inside and min(*self.rows, *self.columns) >= 0, f"{self} leaves its shape")
        return (TensorType((1, *self.shape, g.shape[3]), F32),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: pixels are added in order of rows, then columns."""
        y: Array = np.zeros(outs[0].shape, args[0].dtype)
        for i, row in enumerate(self.rows):
            for j, column in enumerate(self.columns):
                y[0, row, column] += args[0][0, i, j]
        return (y,)

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes, and which row and column each pixel goes to."""
        (_, oh, ow, c), (_, h, w, _) = ins[0].shape, outs[0].shape
        tables: Params = {"rows": np.array(self.rows, np.int32), "columns": np.array(self.columns, np.int32)}
        return {"h": h, "w": w, "c": c, "oh": oh, "ow": ow} | tables

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Twice as large, and smaller by an odd ratio."""
        return (
            Example.random(cls((0, 0, 1, 1), (0, 0, 1, 1, 2, 2), (2, 3)), TensorType((1, 4, 6, 5), F32)),
            Example.random(cls((0, 2), (1, 2, 3), (3, 4)), TensorType((1, 2, 3, 2), F32)),
        )
