"""The leaky rectifier. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import fixed
from tte.arith.lut import LUT, Elementwise
from tte.op import Example, Grows, Kernel, Op, Params, Types, Values
from tte.ops.activation_grad import LeakyReluGrad, by_table
from tte.types import Array, DType, Quant, Rounding, TensorType, Value

F32, S8 = DType.F32, DType.S8


@dataclass(frozen=True, slots=True)
class LeakyRelu(Elementwise, Op):
    """y = x for x >= 0, else alpha * x. In s8 the result has the scale `out` (see tte/arith/lut.py)."""

    alpha: float
    out: Quant | None = None
    rounding: Rounding = Rounding.TFLITE

    kernels = (LUT, Kernel("tte_leaky_relu_f32", "leaky_relu.h", (F32,), (F32,), form="flat", inplace=((0, 0),)))

    def real(self, x: Array) -> Array:
        """As it says."""
        return np.where(x >= 0, x, x * np.float32(self.alpha)).astype(x.dtype)

    def litert(self, d: Array, x: Quant, y: Quant) -> Array:
        """By one Q31 multiplier for each half, rounded twice."""
        from_x, to_y = np.float32(x.scale[0]), np.float32(y.scale[0])
        up = fixed.multiplier(float(from_x / to_y))
        down = fixed.multiplier(float(from_x * np.float32(abs(self.alpha)) / to_y))
        return np.where(d >= 0, fixed.scaled(d, *up), np.sign(self.alpha) * fixed.scaled(d, *down)).astype(np.int64)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """By the argument."""
        if grads[0] is None:
            return (None,)
        if ins[0].type.dtype is F32:
            return graph.emit(LeakyReluGrad(self.alpha), grads[0], ins[0])
        return (by_table(graph, grads[0], ins, outs, self.real, LeakyReluGrad(self.alpha).slope),)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of elements; in f32 alpha, in s8 the table."""
        given = Elementwise.params(self, ins, outs)
        return given | {"alpha": self.alpha} if ins[0].dtype is F32 else given

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Every s8 in both roundings."""
        x, q = TensorType((256,), S8, Quant((0.05,), 3)), Quant((0.03,), -12)
        every = np.arange(-128, 128).astype(np.int8)
        return (
            Example(cls(0.1, q), (x,), (every,)),
            Example(cls(0.25, q, Rounding.ONNX), (x,), (every,)),
            Example.random(cls(0.3), TensorType((2, 9), F32)),
        )
