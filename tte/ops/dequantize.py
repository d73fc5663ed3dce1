"""Integers as reals. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values
from tte.types import DType, Quant, TensorType, Value

F32, S8 = DType.F32, DType.S8


def one_scale(ins: Types, outs: Types, params: Params) -> bool:
    """One scale for the whole tensor."""
    return ins[0].scaling.axis is None


@dataclass(frozen=True, slots=True)
class Dequantize(Op):
    """y = (x - zero) * scale, in f32. Constants may also be s32, or have a scale per index of an axis."""

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
    )

    def infer(self, *types: TensorType) -> Types:
        """s8 gives floats of the same shape."""
        (x,) = types
        self.expect(x.dtype in (S8, DType.S32) and x.quant is not None, f"x must be s8 or s32 with a scale, not {x}")
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
        """The number of elements, scale and zero point."""
        q = ins[0].scaling
        return {"size": outs[0].size, "scale": q.scale[0], "zero": q.zero}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Zero points at the limits."""
        return tuple(Example.random(cls(), TensorType((3, 7), S8, Quant((0.1,), z))) for z in (-128, 0, 127))
