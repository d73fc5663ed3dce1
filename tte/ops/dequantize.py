"""Integers as reals. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values
from tte.types import DType, Quant, TensorType, Value

F32, S8, S32 = DType.F32, DType.S8, DType.S32


def one_scale(ins: Types, outs: Types, params: Params) -> bool:
    """One scale for the whole tensor."""
    return ins[0].scaling.axis is None


def by_columns(ins: Types, outs: Types, params: Params) -> bool:
    """A scale for each index of the last axis, or one."""
    q = ins[0].scaling
    return q.zero == 0 and q.axis in (None, len(ins[0].shape) - 1)


@dataclass(frozen=True, slots=True)
class Dequantize(Op):
    """y = (x - zero) * scale, in f32. s32 may have a scale per index of the last axis; constants, of any."""

    kernels = (
        Kernel(
            "tte_dequantize_s8",
            "quantize.h",
            (S8,),
            (F32,),
            form="flat",
            when=one_scale,
            needs="one scale",
            per_out=10.0,
        ),
        Kernel(
            "tte_dequantize_s32",
            "quantize.h",
            (S32,),
            (F32,),
            inplace=((0, 0),),
            when=by_columns,
            needs="no zero point, and scales along the last axis",
            per_out=10.0,
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """s8 gives floats of the same shape."""
        (x,) = types
        self.expect(x.dtype in (S8, S32) and x.quant is not None, f"x must be s8 or s32 with a scale, not {x}")
        return (TensorType(x.shape, F32),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        q = ins[0].scaling
        scale = np.array(q.scale, np.float32).reshape([-1 if k == q.axis else 1 for k in range(args[0].ndim)])
        return ((args[0].astype(np.int64) - q.zero).astype(np.float32) * scale,)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """The gradient of the real numbers, as it is."""
        return (grads[0],)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of elements, scale and zero point; of s32 rows, columns and their scales."""
        q = ins[0].scaling
        if ins[0].dtype is S32:
            n, scales = ins[0].shape[-1], np.asarray(q.scale, np.float32)
            return {"m": outs[0].size // n, "n": n, "scale": scales if q.axis is not None else scales.repeat(n)}
        return {"size": outs[0].size, "scale": q.scale[0], "zero": q.zero}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Zero points at the limits; sums with one scale and many, of up to 31 bits."""
        small = (Example.random(cls(), TensorType((3, 7), S8, Quant((0.1,), z))) for z in (-128, 0, 127))
        columns = Quant((0.1, 3e-5, 1.0, 7e-9, 0.25), 0, 1)
        sums = TensorType((3, 5), S32, columns), TensorType((2, 3, 3), S32, Quant((0.3,)))
        return (*small, *(Example.random(cls(), t, below=2**31 - 1) for t in sums))
