"""Hard swish. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import fixed
from tte.arith.lut import LUT, Elementwise
from tte.errors import Unsupported
from tte.op import Example, Grows, Kernel, Op, Params, Types, Values
from tte.ops.activation_grad import HardSwishGrad, by_table
from tte.types import Array, DType, Quant, Rounding, TensorType, Value

F32, S8 = DType.F32, DType.S8


@dataclass(frozen=True, slots=True)
class HardSwish(Elementwise, Op):
    """y = x * min(max(x + 3, 0), 6) / 6. In s8 the result has the scale `out` (see tte/arith/lut.py).

    Under ONNX it is x * min(max(x / 6 + 1/2, 0), 1), which differs in the last bits.
    """

    out: Quant | None = None
    rounding: Rounding = Rounding.TFLITE

    kernels = (LUT, Kernel("tte_hard_swish_f32", "hard_swish.h", (F32,), (F32,), form="flat", inplace=((0, 0),)))

    def real(self, x: Array) -> Array:
        """In the order in which the source runtime computes."""
        if self.rounding is Rounding.ONNX:
            y: Array = x * np.clip(x * np.float32(1 / 6) + np.float32(0.5), np.float32(0), np.float32(1))
        else:
            y = x * np.clip(x + np.float32(3), np.float32(0), np.float32(6)) / np.float32(6)
        return y

    def litert(self, d: Array, x: Quant, y: Quant) -> Array:
        """In 16 bits: x at 128 times its resolution, times (x / 3 clamped to [-1, 1] + 1) / 2."""
        fine = np.float32(1 / 128) * np.float32(x.scale[0])
        m, right = _multiplier16(float(fine / np.float32(y.scale[0])))
        m_relu, right_relu = _multiplier16(float(fine / (np.float32(3) / np.float32(32768))))
        if right < 0:
            raise Unsupported("hard_swish", f"the scale of the result is too small beside {x}")
        wide = d * 128
        relu = fixed.round_shift(_saturated(wide << max(-right_relu - 1, 0)) * m_relu, 15)
        relu = fixed.divide_by_power(_saturated(relu << int(right_relu < 0)), max(right_relu, 0))
        gate = (relu + 2**15) >> 1
        product = gate * _saturated(fixed.round_shift(wide * m, 15))
        return fixed.divide_by_power(np.sign(product) * (abs(product) >> 15), right)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """By the argument."""
        if grads[0] is None:
            return (None,)
        if ins[0].type.dtype is F32:
            return graph.emit(HardSwishGrad(), grads[0], ins[0])
        return (by_table(graph, grads[0], ins, outs, self.real, HardSwishGrad().slope),)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of elements; in f32 the order of operations, in s8 the table."""
        given = Elementwise.params(self, ins, outs)
        return given | {"onnx": int(self.rounding is Rounding.ONNX)} if ins[0].dtype is F32 else given

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Every s8, both orders."""
        x, q, onnx = TensorType((256,), S8, Quant((0.05,), 3)), Quant((0.03,), -112), Rounding.ONNX
        every, f = np.arange(-128, 128).astype(np.int8), TensorType((9, 40), F32)
        return (
            Example(cls(q), (x,), (every,)),
            Example(cls(q, onnx), (x,), (every,)),
            Example.random(cls(), f),
            Example.random(cls(rounding=onnx), f),
        )


def _multiplier16(real: float) -> tuple[int, int]:
    """As fixed.multiplier, to 15 bits."""
    m, shift = fixed.multiplier(real)
    return (2**15 - 1 if m >= 2**31 - 1 - 2**15 else (m + 2**15) >> 16), shift


def _saturated(x: Array) -> Array:
    """Kept in 16 bits."""
    return np.clip(x, -(2**15), 2**15 - 1)
