"""Normalisation of rows by their mean and variance. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import floatmath
from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.types import DType, TensorType

F32 = DType.F32


@dataclass(frozen=True, slots=True)
class LayerNorm(Op):
    """y[n,d] = (x - m) * (1 / sqrt(sum((x - m)**2) / d + eps)) * w[d] + b[d], m = sum(x) / d; sums in order."""

    eps: float = 1e-5

    operands = ("x", "w", "b")
    kernels = (Kernel("tte_layer_norm_f32", "layer_norm.h", (F32, F32, F32), (F32,), inplace=((0, 0),), per_out=18.0),)

    def infer(self, *types: TensorType) -> Types:
        """x[n,d], w[d] and b[d] give y[n,d]."""
        x, w, b = types
        self.expect(len(x.shape) == 2 and 0 not in x.shape, f"x must be a matrix, not {x}")
        self.expect(w.shape == b.shape == x.shape[1:], f"w and b must be vectors of {x.shape[1]}, not {w} and {b}")
        self.expect(0 < self.eps < 1, f"eps {self.eps:g} is not a small positive number")
        return (x,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        x, w, b = args
        one, eps, d = x.dtype.type(1), x.dtype.type(np.float32(self.eps)), x.dtype.type(x.shape[1])
        x = x - floatmath.total(x) / d
        return (x * (one / np.sqrt(floatmath.total(x * x) / d + eps)) * w + b,)

    def params(self, ins: Types, outs: Types) -> Params:
        """Rows, elements of one, eps."""
        n, d = ins[0].shape
        return {"n": n, "d": d, "eps": self.eps}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """A ragged row, equal elements, large and tiny ones, one element."""
        x, w = TensorType((4, 21), F32), TensorType((21,), F32)
        sizes = Example.random(cls(), x, w, w, consts=(1, 2))
        sizes.args[0][1] = 3
        sizes.args[0][2:] *= np.array([[1e15], [1e-15]], np.float32)
        one = TensorType((1,), F32)
        return (
            sizes,
            Example.random(cls(1e-6), TensorType((2, 64), F32), TensorType((64,), F32), TensorType((64,), F32)),
            Example.random(cls(), TensorType((1, 1), F32), one, one, consts=(1, 2)),
        )
