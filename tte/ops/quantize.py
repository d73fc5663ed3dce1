"""Reals as integers. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import fixed
from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values
from tte.ops.mask_grad import unclamped
from tte.shapes import clamps
from tte.types import DType, Quant, Rounding, TensorType, Value

F32, S8 = DType.F32, DType.S8


@dataclass(frozen=True, slots=True)
class Quantize(Op):
    """y = clamp(round(x / scale) + zero) in s8; ties go to even under ONNX, else away from zero.

    `masked` adds a result u1: 1 where the value before the clamp lay within it.
    """

    out: Quant
    rounding: Rounding = Rounding.TFLITE
    masked: bool = False

    kernels = (
        Kernel("tte_quantize_s8", "quantize.h", (F32,), (S8,), form="flat", inplace=((0, 0),), takes=("y", "y1")),
        Kernel(
            "tte_quantize_s8_simd",
            "quantize_simd.h",
            (F32,),
            (S8,),
            isa="simd",
            form="flat",
            inplace=((0, 0),),
            when=lambda ins, outs, params: params["onnx"] == 1,
            needs="ties to even",
            per_out=4.0,
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """Floats give s8 of the same shape, and the mask."""
        (x,) = types
        self.expect(x.dtype is F32, f"x must be f32, not {x}")
        self.expect(self.out.axis is None, "one scale per channel is not supported")
        return clamps.results(self, TensorType(x.shape, S8, self.out), self.masked)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact; NaN is not defined."""
        ratio = args[0].astype(np.float32) / np.float32(self.out.scale[0])
        q = fixed.round_even(ratio) if self.rounding is Rounding.ONNX else fixed.round_away(ratio)
        return clamps.clamped(q + self.out.zero, -128, 127, outs)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """The gradient of the real numbers, as it is where nothing was clamped."""
        return (unclamped(graph, grads[0], outs) if grads[0] else None,)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of elements, scale and zero point."""
        onnx = int(self.rounding is Rounding.ONNX)
        return {"size": outs[0].size, "scale": self.out.scale[0], "zero": self.out.zero, "onnx": onnx}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Both roundings, on ties and beyond the limits."""
        x = TensorType((2, 33), F32)
        values = np.concatenate([np.arange(-32, 33) / 2, [1e30]]).astype(np.float32).reshape(2, 33)
        values[1, 0] = -1e30
        return (
            Example(cls(Quant((1.0,), 3)), (x,), (values,)),
            Example(cls(Quant((1.0,), -2), Rounding.ONNX), (x,), (values,)),
            Example(cls(Quant((1.0,), -2), Rounding.ONNX, True), (x,), (values,)),
            Example(cls(Quant((0.1,), 3), masked=True), (x,), (values,)),
            Example.random(cls(Quant((0.007839307,), 0)), x),
        )
