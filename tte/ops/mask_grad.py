"""The gradient before a clamp of integers. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Slices, Types
from tte.types import DType, TensorType

F32, U1 = DType.F32, DType.U1


@dataclass(frozen=True, slots=True)
class MaskGrad(Op):
    """y = mask ? g * scale[channel] : 0 for g[...,c]; without `scale` it is 1. Channels are the last axis.

    The mask is whole even where g is cut to some channels.
    """

    operands = ("g", "mask", "scale")
    optional = 1
    kernels = (
        Kernel(
            "tte_mask_grad",
            "mask_grad.h",
            (F32, U1, F32),
            (F32,),
            form="channels",
            inplace=((0, 0),),
            optional=1,
            takes=("mask", "scale", "y", "c"),
            per_out=8.0,
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """g[...,c], mask[...,c], scale[c] give y[...,c]."""
        g, mask = types[:2]
        scale = types[2] if len(types) == 3 else None
        self.expect(g.dtype is F32 and g.shape != () and 0 not in g.shape, f"g must be f32 with channels, not {g}")
        self.expect(mask.dtype is U1 and mask.shape == g.shape, f"{mask} is no mask of {g}")
        self.expect(scale is None or (scale.dtype, scale.shape) == (F32, g.shape[-1:]), f"{scale} does not fit {g}")
        return (TensorType(g.shape, F32),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        g, mask = args[:2]
        scaled = g * args[2] if len(args) == 3 else g
        return (np.where(mask, scaled, 0).astype(g.dtype),)

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Any channels."""
        last = len(outs[0].shape) - 1
        return (Slices((last, None, 0)[: len(ins)], (last,)),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Pixels, channels, and the distances of pixels."""
        c = outs[0].shape[-1]
        sizes: Params = {"pixels": outs[0].size // c, "channels": c, "mask_pitch": ins[1].shape[-1]}
        return sizes | {"g_pitch": ins[0].shape[-1], "y_pitch": c}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """With scales and without, bits that begin within a byte."""
        g, mask = TensorType((1, 3, 5, 7), F32), TensorType((1, 3, 5, 7), U1)
        even = TensorType((1, 2, 3, 8), F32), TensorType((1, 2, 3, 8), U1)
        return (
            Example.random(cls(), g, mask, TensorType((7,), F32), consts=(2,)),
            Example.random(cls(), g, mask),
            Example.random(cls(), *even, TensorType((8,), F32), consts=(2,)),
        )
