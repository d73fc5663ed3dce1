"""The gradient of a bias from a rounded one. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Slices, Types
from tte.types import DType, TensorType

F32, S8, S16 = DType.F32, DType.S8, DType.S16
MOST = 65536  # pixels: no sum of s16 overflows

_kernel = partial(
    Kernel,
    header="rounded_bias_grad.h",
    outs=(F32,),
    params="tte_rounded_bias_grad",
    form="channels",
    per_mac=3.0,
)


@dataclass(frozen=True, slots=True)
class RoundedBiasGrad(Op):
    """y[c] = (sum over all pixels of g[...,c]) * (step[c] * scale[c]) for g in s8 or s16."""

    operands = ("g", "step", "scale")
    kernels = (
        _kernel("tte_rounded_bias_grad_s8", ins=(S8, F32, F32)),
        _kernel("tte_rounded_bias_grad_s16", ins=(S16, F32, F32)),
    )

    def infer(self, *types: TensorType) -> Types:
        """g[...,c], step[c], scale[c] give y[c]."""
        g, step, scale = types
        self.expect(g.dtype in (S8, S16) and g.shape != () and 0 not in g.shape, f"{g} has no integers with channels")
        y = TensorType(g.shape[-1:], F32)
        self.expect(step == scale == y, f"{step} or {scale} does not fit {g}")
        self.expect(g.size <= MOST * g.shape[-1], f"{g} has more than {MOST} pixels")
        return (y,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        g, step, scale = args
        total = g.reshape(-1, len(step)).sum(0, dtype=np.int64).astype(step.dtype)
        return (total * (step * scale),)

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Any channels."""
        return (Slices((len(ins[0].shape) - 1, 0, 0), (0,)),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Pixels, channels, and the distance of pixels."""
        c = ins[0].shape[-1]
        return {"pixels": ins[0].size // c, "channels": c, "g_pitch": c}

    def macs(self, ins: Types, outs: Types) -> int:
        """Additions."""
        return ins[0].size

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Both types, the greatest integers among them."""
        found = list[Example]()
        for shape, dtype in (((1, 3, 5, 7), S8), ((4, 8), S8), ((1, 3, 5, 6), S16), ((2, 4), S16)):
            c = TensorType(shape[-1:], F32)
            e = Example.random(cls(), TensorType(shape, dtype), c, c, consts=(2,))
            e.args[1][:] = np.ldexp(1.0, np.arange(shape[-1]) * 5 % 19 - 9)
            found.append(e)
        return tuple(found)
