"""Rectifiers: values kept within a range. Floor 3."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tte.arith import fixed
from tte.arith.lut import LUT, Elementwise
from tte.op import Example, Grows, Kernel, Op, Params, Types, Values
from tte.ops.activation_grad import by_table
from tte.ops.mask_grad import unclamped
from tte.types import Array, DType, Quant, Rounding, TensorType, Value

F32, S8 = DType.F32, DType.S8


@dataclass(frozen=True, slots=True)
class Clamp(Elementwise, Op):
    """y = min(max(x, low), high): relu, relu6 and the like. In s8 y has the scale `out` (see tte/arith/lut.py)."""

    low: float = -math.inf
    high: float = math.inf
    out: Quant | None = None
    rounding: Rounding = Rounding.TFLITE

    kernels = (LUT, Kernel("tte_clamp_f32", "clamp.h", (F32,), (F32,), form="flat", inplace=((0, 0),), per_out=6.0))

    def real(self, x: Array) -> Array:
        """The clamp."""
        clamped: Array = np.clip(x, x.dtype.type(self.low), x.dtype.type(self.high))
        return clamped

    def litert(self, d: Array, x: Quant, y: Quant) -> Array:
        """By a Q31 multiplier, rounded twice; the clamp is one of integers."""
        ratio = float(np.float32(x.scale[0]) / np.float32(y.scale[0]))
        return fixed.scaled(d, *fixed.multiplier(ratio))

    def bounds(self, y: Quant) -> tuple[int, int]:
        """The integers that stand for low and high."""
        limits = fixed.clamp(self.low, self.high, y, self.rounding)
        return limits["lo"], limits["hi"]

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """As it is within the range; in f32 strictly within."""
        if grads[0] is None:
            return (None,)
        if ins[0].type.dtype is F32:
            return (unclamped(graph, grads[0], outs, self.low, self.high),)

        def within(x: Array) -> Array:
            return (x >= self.low) & (x <= self.high)

        return (by_table(graph, grads[0], ins, outs, self.real, within),)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of elements; in f32 the range, in s8 the table."""
        given = Elementwise.params(self, ins, outs)
        return given | {"low": self.low, "high": self.high} if ins[0].dtype is F32 else given

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """relu and relu6 in both roundings, with scales that differ."""
        x, q = TensorType((6, 50), S8, Quant((0.05,), 3)), Quant((0.03,), -128)
        return (
            Example.random(cls(0.0, out=q), x),
            Example.random(cls(0.0, 6.0, q, Rounding.ONNX), x),
            Example.random(cls(-1.0, 1.0), TensorType((2, 9), F32)),
        )
