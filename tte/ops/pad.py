"""A border of one value around a tensor. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import fixed
from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values
from tte.ops.crop import Crop
from tte.types import DType, Quant, Rounding, TensorType, Value

F32, S8 = DType.F32, DType.S8
RANK = 4


@dataclass(frozen=True, slots=True)
class Pad(Op):
    """y is x with `before[k]` elements of `value` before it and `after[k]` behind it, along each axis k.

    In s8 the border is the integer that stands for `value` in the scale of x, clamped; `rounding` says how it is
    rounded.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    value: float = 0.0
    rounding: Rounding = Rounding.TFLITE

    kernels = (
        Kernel("tte_pad_s8", "pad.h", (S8,), (S8,), per_out=10.0),
        Kernel("tte_pad_f32", "pad.h", (F32,), (F32,), per_out=10.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """x[n...] gives y[n + before + after...], of at most four axes."""
        (x,) = types
        self.expect(len(self.before) == len(self.after) == len(x.shape) <= RANK, f"{x} is not padded by {self}")
        self.expect(min(self.before + self.after, default=0) >= 0, f"{self} cuts", "only growing is supported")
        self.expect(x.quant is None or x.quant.axis is None, f"{x} has a scale per channel")
        self.expect(x.dtype is not S8 or x.quant is not None, "x needs a scale")
        shape = tuple(b + n + a for b, n, a in zip(self.before, x.shape, self.after, strict=True))
        return (TensorType(shape, x.dtype, x.quant),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """numpy's pad."""
        value = self.params(ins, outs)["value"]
        widths = tuple(zip(self.before, self.after, strict=True))
        return (np.pad(args[0], widths, constant_values=value),)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """Without the border."""
        return graph.emit(Crop(self.before, ins[0].type.shape), grads[0]) if grads[0] else (None,)

    def params(self, ins: Types, outs: Types) -> Params:
        """Extents of y, borders before x, extents of x, and the value."""

        def four(letter: str, values: tuple[int, ...], fill: int) -> Params:
            return {f"{letter}{k}": v for k, v in enumerate((fill,) * (RANK - len(values)) + values)}

        sizes = four("n", outs[0].shape, 1) | four("b", self.before, 0) | four("m", ins[0].shape, 1)
        if ins[0].dtype is F32:
            return sizes | {"value": float(self.value)}
        value = fixed.quantize(self.value, ins[0].scaling, self.rounding)
        return sizes | {"value": max(-128, min(127, value))}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Borders on every side and axis, zero and not."""
        x = TensorType((1, 3, 4, 2), S8, Quant((0.1,), 5))
        return (
            Example.random(cls((0, 1, 2, 0), (0, 2, 0, 0)), x),
            Example.random(cls((1, 0, 0, 1), (0, 1, 0, 2), -1.25), x),
            Example.random(cls((2, 0), (0, 3), 1.5), TensorType((2, 3), F32)),
        )
