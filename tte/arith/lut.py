"""Ops of one tensor, element by element: in s8 they all are one table of 256 bytes. Floor 2."""

from __future__ import annotations

import numpy as np

from tte.arith import fixed
from tte.errors import BadModel
from tte.op import Arrays, Kernel, Params, Types
from tte.types import Array, DType, Quant, Rounding, TensorType

F32, S8 = DType.F32, DType.S8
LUT = Kernel("tte_lut_s8", "lut.h", (S8,), (S8,), form="flat", inplace=((0, 0),), per_out=4.0)


class Elementwise:
    """Mixed into an op with the fields `out` and `rounding`, which says what it does to one real number.

    In s8, by `rounding`: ONNX computes in f32 and quantises, ties to even; TFLITE (and SINGLE) as LiteRT's kernel does.
    """

    __slots__ = ()
    out: Quant | None
    rounding: Rounding

    def real(self, x: Array) -> Array:
        """Floats to floats, each operation as the C kernel has it."""
        raise NotImplementedError

    def litert(self, d: Array, x: Quant, y: Quant) -> Array:
        """Results without zero point and clamp for d = q - zero, s64, under TFLITE; by default a table of floats."""
        real = self.rounded(d.astype(np.float32) * np.float32(x.scale[0]))
        return fixed.round_away(real * (np.float32(1) / np.float32(y.scale[0])))

    def rounded(self, x: Array) -> Array:
        """As `real`, with functions that are right to the last bit of f32, as a C library's nearly are."""
        raise NotImplementedError

    def bounds(self, y: Quant) -> tuple[int, int]:
        """The least and the greatest result in s8."""
        return -128, 127

    def infer(self, *types: TensorType) -> Types:
        """y has the shape of x."""
        (x,) = types
        if x.dtype is S8 and None in (x.quant, self.out):
            raise BadModel(type(self).__name__.lower(), f"{x} and the result need scales")
        return (TensorType(x.shape, x.dtype, self.out),)

    def table(self, x: Quant, y: Quant) -> Array:
        """The result for every element, in the order of its byte: s8[256]."""
        d = np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64) - x.zero
        if self.rounding is Rounding.ONNX:
            real = self.real(d.astype(np.float32) * np.float32(x.scale[0]))
            q = fixed.round_even(real / np.float32(y.scale[0]))
        else:
            q = self.litert(d, x, y)
        table: Array = np.clip(q + y.zero, *self.bounds(y)).astype(np.int8)
        return table

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        if ins[0].dtype is F32:
            return (self.real(args[0]).astype(args[0].dtype),)
        return (self.table(ins[0].scaling, outs[0].scaling)[args[0].view(np.uint8)],)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of elements; in s8 the table."""
        size: Params = {"size": outs[0].size}
        return size if ins[0].dtype is F32 else size | {"table": self.table(ins[0].scaling, outs[0].scaling)}
