"""The gradient of a softmax. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.types import DType, TensorType

F32 = DType.F32


@dataclass(frozen=True, slots=True)
class SoftmaxGrad(Op):
    """y = beta * of * (g - sum of g * of), along the last axis; `of` is the softmax's result."""

    beta: float = 1.0

    operands = ("g", "of")
    kernels = (Kernel("tte_softmax_grad", "softmax_grad.h", (F32, F32), (F32,), per_out=10.0),)

    def infer(self, *types: TensorType) -> Types:
        """g and `of` of one shape give y."""
        g, of = types
        self.expect(g.dtype is F32 and g == of and g.shape != (), f"{g} and {of} must be equal, f32, with a last axis")
        return (g,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: products are added in order."""
        g, of = args
        total = np.zeros((*g.shape[:-1], 1), g.dtype)
        for i in range(g.shape[-1]):
            total += (g * of)[..., i : i + 1]
        return (((g - total) * of * np.float32(self.beta)).astype(g.dtype),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes and beta."""
        depth = ins[0].shape[-1]
        return {"rows": ins[0].size // depth, "depth": depth, "beta": float(self.beta)}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Two rows."""
        t = TensorType((2, 7), F32)
        return (Example.random(cls(1.5), t, t),)
