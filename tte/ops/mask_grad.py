"""Gradients before clamps, of integers and of floats. Floor 2."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Slices, Types, Values
from tte.types import DType, TensorType, Value

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


def unclamped(graph: Grows, grad: Value, outs: Values, low: float = -math.inf, high: float = math.inf) -> Value:
    """The gradient before the clamp of an op whose results are `outs`: by its mask, if it has one, or by its floats."""
    if len(outs) == 2:
        return graph.emit(MaskGrad(), grad, outs[1])[0]
    if outs[0].type.dtype is F32 and (low, high) != (-math.inf, math.inf):
        return graph.emit(ClampGrad(low, high), grad, outs[0])[0]
    return grad
