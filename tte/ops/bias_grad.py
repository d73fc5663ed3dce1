"""The gradient of a bias. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Slices, Types
from tte.types import DType, TensorType

F32 = DType.F32


@dataclass(frozen=True, slots=True)
class BiasGrad(Op):
    """y[c] = (sum over all pixels of g[...,c]) * scale[c]; without `scale` it is 1."""

    operands = ("g", "scale")
    optional = 1
    kernels = (
        Kernel(
            "tte_bias_grad",
            "bias_grad.h",
            (F32, F32),
            (F32,),
            form="channels",
            optional=1,
            takes=("scale", "y", "c"),
            per_mac=4.0,
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """g[...,c], scale[c] give y[c]."""
        g, scale = types[0], types[1] if len(types) == 2 else None
        self.expect(g.dtype is F32 and g.shape != () and 0 not in g.shape, f"g must be f32 with channels, not {g}")
        self.expect(scale is None or (scale.dtype, scale.shape) == (F32, g.shape[-1:]), f"{scale} does not fit {g}")
        return (TensorType(g.shape[-1:], F32),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: pixels are added in order."""
        g = args[0].reshape(-1, args[0].shape[-1])
        total = np.zeros(g.shape[1], g.dtype)
        for pixel in g:
            total = total + pixel
        return ((total * args[1] if len(args) == 2 else total).astype(g.dtype),)

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Any channels."""
        return (Slices((len(ins[0].shape) - 1, 0)[: len(ins)], (0,)),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Pixels, channels, and the distance of pixels."""
        c = ins[0].shape[-1]
        return {"pixels": ins[0].size // c, "channels": c, "g_pitch": c}

    def macs(self, ins: Types, outs: Types) -> int:
        """Additions."""
        return ins[0].size

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """With scales and without."""
        g = TensorType((1, 3, 5, 7), F32)
        return (
            Example.random(cls(), g, TensorType((7,), F32), consts=(1,)),
            Example.random(cls(), g),
            Example.random(cls(), TensorType((4, 8), F32)),
        )
