"""The sigmoid linear unit. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import floatmath
from tte.op import Arrays, Example, Kernel, Op, Types
from tte.types import DType, TensorType

F32 = DType.F32


@dataclass(frozen=True, slots=True)
class Silu(Op):
    """y = x / (1 + e**-x)."""

    kernels = (
        Kernel("tte_silu_f32", "silu.h", (F32,), (F32,), form="flat", inplace=((0, 0),), per_out=40.0),
        Kernel(
            "tte_silu_f32_simd",
            "silu_simd.h",
            (F32,),
            (F32,),
            isa="simd",
            form="flat",
            inplace=((0, 0),),
            per_out=12.0,
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """y has the shape of x."""
        return types

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        (x,) = args
        return (x / (x.dtype.type(1) + floatmath.exp(-x)),)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Floats of all sizes; a number of them that is not a multiple of four."""
        floats = (np.arange(-300, 303) ** 3 / 3e5).astype(np.float32)
        return (Example(cls(), (TensorType(floats.shape, F32),), (floats,)),)
