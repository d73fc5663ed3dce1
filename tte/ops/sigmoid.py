"""The logistic function. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import floatmath
from tte.arith.lut import LUT, Elementwise
from tte.op import Example, Grows, Kernel, Op, Values
from tte.ops.activation_grad import SigmoidGrad, by_table
from tte.types import Array, DType, Quant, Rounding, TensorType, Value

F32, S8 = DType.F32, DType.S8


@dataclass(frozen=True, slots=True)
class Sigmoid(Elementwise, Op):
    """y = 1 / (1 + e**-x). In s8 the result has the scale `out` (see tte/arith/lut.py)."""

    out: Quant | None = None
    rounding: Rounding = Rounding.TFLITE

    kernels = (
        LUT,
        Kernel("tte_sigmoid_f32", "sigmoid.h", (F32,), (F32,), form="flat", inplace=((0, 0),), per_out=40.0),
    )

    def real(self, x: Array) -> Array:
        """Our own sigmoid."""
        return floatmath.sigmoid(x)

    def rounded(self, x: Array) -> Array:
        """By the exponential in f64."""
        with np.errstate(over="ignore"):  # infinity is right: y is 0
            e = np.exp(-x.astype(np.float64)).astype(np.float32)
        y: Array = np.float32(1) / (np.float32(1) + e)
        return y

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """In f32 by the result."""
        if grads[0] is None:
            return (None,)
        if ins[0].type.dtype is F32:
            return graph.emit(SigmoidGrad(), grads[0], outs[0])
        return (
            by_table(
                graph, grads[0], ins, outs, floatmath.sigmoid, lambda x: floatmath.sigmoid(x) * floatmath.sigmoid(-x)
            ),
        )

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Every s8 in both roundings; floats of all sizes."""
        x, q = TensorType((256,), S8, Quant((0.05,), 3)), Quant((1 / 256,), -128)
        every = np.arange(-128, 128).astype(np.int8)
        floats = (np.arange(-300, 300) ** 3 / 3e5).astype(np.float32)
        return (
            Example(cls(q), (x,), (every,)),
            Example(cls(Quant((1 / 128,)), Rounding.ONNX), (x,), (every,)),
            Example(cls(), (TensorType(floats.shape, F32),), (floats,)),
        )
