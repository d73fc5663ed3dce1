"""A map of another size by the nearest neighbour. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values
from tte.ops.resize_nearest_grad import ResizeNearestGrad
from tte.types import DType, Quant, TensorType, Value

F32, S8 = DType.F32, DType.S8


@dataclass(frozen=True, slots=True)
class ResizeNearest(Op):
    """y[1,i,j,c] = x[1, rows[i], columns[j], c]; formats differ in what is nearest, so importers say it outright."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    kernels = (
        Kernel("tte_resize_nearest_s8", "resize_nearest.h", (S8,), (S8,), per_out=4.0),
        Kernel("tte_resize_nearest_f32", "resize_nearest.h", (F32,), (F32,), per_out=4.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """x[1,h,w,c] gives y[1, len(rows), len(columns), c]."""
        (x,) = types
        self.expect(len(x.shape) == 4 and x.shape[0] == 1, f"x must be one map of four dimensions, not {x}")
        for indices, extent in (self.rows, x.shape[1]), (self.columns, x.shape[2]):
            self.expect(len(indices) > 0, "y would be empty")
            self.expect(min(indices) >= 0 and max(indices) < extent, f"{indices} leaves {x}")
        return (TensorType((1, len(self.rows), len(self.columns), x.shape[3]), x.dtype, x.quant),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Copies of pixels."""
        return (args[0][:, self.rows][:, :, self.columns],)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """Each pixel's gradient where it came from."""
        shape = ins[0].type.shape[1], ins[0].type.shape[2]
        return graph.emit(ResizeNearestGrad(self.rows, self.columns, shape), grads[0]) if grads[0] else (None,)

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes, and which row and column each pixel comes from."""
        (_, oh, ow, c), w = outs[0].shape, ins[0].shape[2]
        tables: Params = {"rows": np.array(self.rows, np.int32), "columns": np.array(self.columns, np.int32)}
        return {"w": w, "c": c, "oh": oh, "ow": ow} | tables

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Twice as large, and smaller by an odd ratio."""
        x = TensorType((1, 3, 4, 5), S8, Quant((0.1,), 5))
        return (
            Example.random(cls((0, 0, 1, 1, 2, 2), (0, 0, 1, 1, 2, 2, 3, 3)), x),
            Example.random(cls((0, 2), (1, 2, 3)), TensorType((1, 3, 4, 2), F32)),
        )
