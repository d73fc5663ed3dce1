"""The gradient of a mean. Floor 2."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.types import DType, TensorType

F32 = DType.F32


@dataclass(frozen=True, slots=True)
class MeanGrad(Op):
    """y[shape] = g / n, repeated along `axes`, which are neighbours and have n elements; g may lack them."""

    axes: tuple[int, ...]
    shape: tuple[int, ...]

    operands = ("g",)
    kernels = (Kernel("tte_mean_grad", "mean_grad.h", (F32,), (F32,), per_out=6.0),)

    def infer(self, *types: TensorType) -> Types:
        """g gives y[shape]."""
        (g,) = types
        outer, _, inner = self._sizes()
        self.expect(g.dtype is F32 and g.size == outer * inner, f"{g} is no mean of {list(self.shape)}")
        return (TensorType(self.shape, F32),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        outer, n, inner = self._sizes()
        share = args[0].reshape(outer, 1, inner) / args[0].dtype.type(n)
        return (np.repeat(share, n, 1).reshape(self.shape),)

    def _sizes(self) -> tuple[int, int, int]:
        """Elements before, along and behind the axes."""
        first, last = self.axes[0], self.axes[-1] + 1
        return math.prod(self.shape[:first]), math.prod(self.shape[first:last]), math.prod(self.shape[last:])

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes before, along and behind the axes."""
        outer, n, inner = self._sizes()
        return {"outer": outer, "n": n, "inner": inner}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Of a map, of the last axis."""
        return (
            Example.random(cls((1, 2), (1, 3, 5, 6)), TensorType((1, 6), F32)),
            Example.random(cls((2,), (2, 3, 7)), TensorType((2, 3, 1), F32)),
        )
