"""The Gaussian error linear unit. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tte.arith import floatmath
from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.types import DType, TensorType

F32 = DType.F32


@dataclass(frozen=True, slots=True)
class Gelu(Op):
    """y = x / 2 * (1 + erf(x / sqrt(2))), or x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))."""

    approximate: Literal["none", "tanh"] = "none"

    kernels = (Kernel("tte_gelu_f32", "gelu.h", (F32,), (F32,), form="flat", inplace=((0, 0),), per_out=60.0),)

    def infer(self, *types: TensorType) -> Types:
        """y has the shape of x."""
        self.expect(self.approximate in ("none", "tanh"), f"there is no approximation {self.approximate!r}")
        return types

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        (x,), f = args, args[0].dtype.type
        if self.approximate == "tanh":
            with np.errstate(over="ignore"):  # infinity is right: tanh is 1
                t = floatmath.tanh(f(np.float32(0.797884561)) * (x + f(np.float32(0.044715)) * (x * x * x)))
        else:
            t = floatmath.erf(x * f(np.float32(0.707106781)))
        return (x * f(0.5) * (f(1) + t),)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of elements, and the form."""
        return {"size": outs[0].size, "tanh": int(self.approximate == "tanh")}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Floats of all sizes, in both forms."""
        floats = (np.arange(-300, 300) ** 3 / 3e5).astype(np.float32)
        floats[:2] = -1e30, 1e30
        x = TensorType(floats.shape, F32)
        return Example(cls(), (x,), (floats,)), Example(cls("tanh"), (x,), (floats,))
