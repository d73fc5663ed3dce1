"""Integers of another scale. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import fixed, lut
from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values
from tte.ops.mask_grad import unclamped
from tte.shapes import clamps
from tte.types import Array, DType, Quant, Rounding, TensorType, Value

S8, U8 = DType.S8, DType.U8
BYTES = (S8, U8)


@dataclass(frozen=True, slots=True)
class Requantize(Op):
    """y stands for the same reals as x, in the scale `out` and the type `dtype`; both are s8 or u8.

    By `rounding`: TFLITE (and SINGLE) by a Q31 multiplier, rounded twice; ONNX in f32, ties to even.
    `masked` adds a result u1, where x and y are s8: 1 where the value before the clamp lay within it.
    """

    out: Quant
    rounding: Rounding = Rounding.TFLITE
    dtype: DType = S8
    masked: bool = False

    kernels = (
        lut.LUT,
        Kernel(
            "tte_lut_masked_s8",
            "lut.h",
            (S8,),
            (S8, DType.U1),
            form="flat",
            inplace=((0, 0),),
            per_out=6.0,
        ),
        Kernel("tte_lut_u8_s8", "lut.h", (U8,), (S8,), form="flat", inplace=((0, 0),), per_out=4.0),
        Kernel("tte_lut_s8_u8", "lut.h", (S8,), (U8,), form="flat", inplace=((0, 0),), per_out=4.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """y, and the mask, have the shape of x."""
        (x,) = types
        self.expect(x.dtype in BYTES and self.dtype in BYTES, f"{x} as {self.dtype.label}: both must be s8 or u8")
        self.expect(x.quant is not None and x.quant.axis is None, f"{x} must have one scale")
        self.expect(x.dtype is S8 or not self.masked, "only s8 has a mask")
        return clamps.results(self, TensorType(x.shape, self.dtype, self.out), self.masked)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        tables = (self.table(ins[0]), self.inside(ins[0]))
        return tuple(t[args[0].view(np.uint8)].astype(y.dtype.numpy) for t, y in zip(tables, outs, strict=False))

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """The gradient of the real numbers, as it is where nothing was clamped."""
        return (unclamped(graph, grads[0], outs) if grads[0] else None,)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of elements, the table, and where it did not clamp."""
        found: Params = {"size": outs[0].size, "table": self.table(ins[0])}
        return found | {"inside": self.inside(ins[0])} if self.masked else found

    def table(self, x: TensorType) -> Array:
        """The result for every element of x, in the order of its byte."""
        limits = np.iinfo(self.dtype.numpy)
        table: Array = self._free(x).clip(limits.min, limits.max).astype(self.dtype.numpy)
        return table

    def inside(self, x: TensorType) -> Array:
        """1 for every element of x whose result is not clamped, else 0: s8[256]."""
        found: Array = (self._free(x) == self.table(x)).astype(np.int8)
        return found

    def _free(self, x: TensorType) -> Array:
        """Results before the clamp."""
        d = np.arange(256).astype(np.uint8).view(x.dtype.numpy).astype(np.int64) - x.scaling.zero
        if self.rounding is Rounding.ONNX:
            real = d.astype(np.float32) * np.float32(x.scaling.scale[0])
            q = fixed.round_even(real / np.float32(self.out.scale[0]))
        else:
            q = fixed.scaled(d, *fixed.multiplier(x.scaling.scale[0] / self.out.scale[0]))
        free: Array = q + self.out.zero
        return free

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Both roundings, up and down, from and to u8."""
        x, u = TensorType((5, 7), S8, Quant((0.05,), 3)), TensorType((5, 7), U8, Quant((0.05,), 131))
        return (
            Example.random(cls(Quant((0.02,), -7)), x),
            Example.random(cls(Quant((0.1,), 5), Rounding.ONNX), x),
            Example.random(cls(Quant((0.02,), -7), masked=True), x),
            Example.random(cls(Quant((0.05,), 3)), u),
            Example.random(cls(Quant((0.07,), 128), dtype=U8), x),
        )
