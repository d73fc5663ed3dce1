"""The hard sigmoid. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith.lut import LUT, Elementwise
from tte.op import Example, Grows, Kernel, Op, Params, Types, Values
from tte.ops.activation_grad import by_table
from tte.ops.broadcast_grad import BroadcastGrad
from tte.ops.mask_grad import unclamped
from tte.types import Array, DType, Quant, Rounding, TensorType, Value

F32, S8 = DType.F32, DType.S8


@dataclass(frozen=True, slots=True)
class HardSigmoid(Elementwise, Op):
    """y = min(max(alpha * x + beta, 0), 1). In s8 the result has the scale `out` (see tte/arith/lut.py)."""

    alpha: float = 0.2
    beta: float = 0.5
    out: Quant | None = None
    rounding: Rounding = Rounding.ONNX

    kernels = (LUT, Kernel("tte_hard_sigmoid_f32", "hard_sigmoid.h", (F32,), (F32,), form="flat", inplace=((0, 0),)))

    def real(self, x: Array) -> Array:
        """As it says."""
        line = x * np.float32(self.alpha) + np.float32(self.beta)
        y: Array = np.clip(line, np.float32(0), np.float32(1))
        return y

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """alpha between the ends; in f32 by the result."""
        if grads[0] is None:
            return (None,)
        if ins[0].type.dtype is F32:
            return graph.emit(BroadcastGrad(ins[0].type.shape, self.alpha), unclamped(graph, grads[0], outs, 0.0, 1.0))

        def slope(x: Array) -> Array:
            line = x * self.alpha + self.beta
            return self.alpha * ((line >= 0) & (line <= 1))

        return (by_table(graph, grads[0], ins, outs, self.real, slope),)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of elements; in f32 the line, in s8 the table."""
        given = Elementwise.params(self, ins, outs)
        return given | {"alpha": self.alpha, "beta": self.beta} if ins[0].dtype is F32 else given

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Every s8; floats."""
        x, every = TensorType((256,), S8, Quant((0.05,), 3)), np.arange(-128, 128).astype(np.int8)
        return (
            Example(cls(1 / 6, 0.5, Quant((1 / 256,), -128)), (x,), (every,)),
            Example.random(cls(0.3, 0.4), TensorType((3, 33), F32)),
        )
