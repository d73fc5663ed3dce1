"""Normalisation of rows by their root mean square. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import floatmath
from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.types import DType, TensorType

F32 = DType.F32


@dataclass(frozen=True, slots=True)
class RmsNorm(Op):
    """y[n,d] = x * (1 / sqrt(sum(x * x) / d + eps)) * w[d], the sum being of a row, in order."""

    eps: float = 1e-5

    operands = ("x", "w")
    kernels = (Kernel("tte_rms_norm_f32", "rms_norm.h", (F32, F32), (F32,), inplace=((0, 0),), per_out=12.0),)

    def infer(self, *types: TensorType) -> Types:
        """x[n,d] and w[d] give y[n,d]."""
        x, w = types
        self.expect(len(x.shape) == 2 and 0 not in x.shape, f"x must be a matrix, not {x}")
        self.expect(w.shape == x.shape[1:], f"w must be a vector of {x.shape[1]}, not {w}")
        self.expect(0 < self.eps < 1, f"eps {self.eps:g} is not a small positive number")
        return (x,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        x, w = args
        one, eps = x.dtype.type(1), x.dtype.type(np.float32(self.eps))
        mean = floatmath.total(x * x) / x.dtype.type(x.shape[1])
        return (x * (one / np.sqrt(mean + eps)) * w,)

    def params(self, ins: Types, outs: Types) -> Params:
        """Rows, elements of one, eps."""
        n, d = ins[0].shape
        return {"n": n, "d": d, "eps": self.eps}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """A ragged row, a row of zeros, large and tiny ones, one element."""
        x, w = TensorType((4, 21), F32), TensorType((21,), F32)
        sizes = Example.random(cls(), x, w, consts=(1,))
        sizes.args[0][1:] *= np.array([[0], [1e15], [1e-15]], np.float32)
        return (
            sizes,
            Example.random(cls(1e-6), TensorType((2, 64), F32), TensorType((64,), F32)),
            Example.random(cls(), TensorType((1, 1), F32), TensorType((1,), F32), consts=(1,)),
        )
