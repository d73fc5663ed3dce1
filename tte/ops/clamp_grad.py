"""The gradient before a clamp of floats. Floor 2."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Slices, Types
from tte.types import DType, TensorType

F32 = DType.F32


@dataclass(frozen=True, slots=True)
class ClampGrad(Op):
    """y = g where low < of < high, else 0; `of` is the clamp's result."""

    low: float = -math.inf
    high: float = math.inf

    operands = ("g", "of")
    kernels = (
        Kernel(
            "tte_clamp_grad", "clamp_grad.h", (F32, F32), (F32,), form="channels", inplace=((0, 0), (1, 0)), per_out=6.0
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """Two tensors of one shape give one."""
        g, of = types
        self.expect(g.dtype is F32 and g == of and g.shape != (), f"{g} and {of} must be equal, f32, with channels")
        return (g,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        g, of = args
        return (np.where((of > np.float32(self.low)) & (of < np.float32(self.high)), g, 0).astype(g.dtype),)

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Any channels."""
        last = len(outs[0].shape) - 1
        return (Slices((last, last), (last,)),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Pixels, channels, the range, and the distances of pixels."""
        (g, of), c = ins, outs[0].shape[-1]
        sizes: Params = {"pixels": outs[0].size // c, "channels": c, "low": float(self.low), "high": float(self.high)}
        return sizes | {"g_pitch": g.shape[-1], "of_pitch": of.shape[-1], "y_pitch": c}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """relu, and values at both ends."""
        t = TensorType((1, 3, 2, 5), F32)
        e = Example.random(cls(-0.5, 0.5), t, t)
        e.args[1][0, 0, 0, :3] = -0.5, 0.5, 0.49999997
        return (Example.random(cls(0.0), t, t), e)
