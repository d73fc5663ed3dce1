"""The gradient of a maximum pooling's input. Floor 2."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tte.arith import fixed
from tte.op import Arrays, Example, Kernel, Op, Params, Slices, Types
from tte.types import Array, DType, Quant, Rounding, TensorType

F32, S8 = DType.F32, DType.S8
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class MaxPoolGrad(Op):
    """y[1,h,w,c] = the sum of g[1,oh,ow,c] over all windows whose greatest element is that of x[1,h,w,c].

    Of equals it is the first, row by row. Windows whose greatest element the pooling clamped have no gradient, nor have
    floats at the ends of its range. All fields are those of the pooling.
    """

    size: Pair
    stride: Pair
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    low: float = -math.inf
    high: float = math.inf
    rounding: Rounding = Rounding.TFLITE

    operands = ("g", "x")
    kernels = (
        Kernel(
            "tte_max_pool_grad_s8",
            "max_pool_grad.h",
            (F32, S8),
            (F32,),
            form="channels",
            params="tte_max_pool_grad",
            per_mac=8.0,
        ),
        Kernel(
            "tte_max_pool_grad_f32",
            "max_pool_grad.h",
            (F32, F32),
            (F32,),
            form="channels",
            params="tte_max_pool_grad",
            per_mac=8.0,
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """g[1,oh,ow,c], x[1,h,w,c] give y[1,h,w,c]."""
        g, x = types
        maps = all(len(t.shape) == 4 and t.shape[0] == 1 for t in types) and g.shape[3] == x.shape[3]
        self.expect(g.dtype is F32 and maps, f"{g} and {x} must be maps of as many channels, g in f32")
        return (TensorType(x.shape, F32),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: windows are added in order of rows, then columns."""
        (g, x), (top, left, bottom, right), p = args, self.pads, self.params(ins, outs)
        lowest = -math.inf if x.dtype.kind == "f" else -129
        x = x if x.dtype.kind == "f" else x.astype(np.int64)
        padded = np.pad(x[0], ((top, bottom), (left, right), (0, 0)), constant_values=lowest)
        y: Array = np.zeros(padded.shape, g.dtype)
        channels = np.arange(x.shape[3])
        for oy in range(g.shape[1]):
            for ox in range(g.shape[2]):
                at, across = oy * self.stride[0], ox * self.stride[1]
                window = padded[at : at + self.size[0], across : across + self.size[1]]
                first, best = window.reshape(-1, x.shape[3]).argmax(0), window.max((0, 1))
                grad = np.where((best > p["below"]) & (best < p["above"]), g[0, oy, ox], 0)
                y[at + first // self.size[1], across + first % self.size[1], channels] += grad
        return (y[None, top : top + x.shape[1], left : left + x.shape[2]],)

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Any channels."""
        return (Slices((3, 3), (3,)),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes, steps, the range of elements with a gradient (without its ends), and the distances of pixels."""
        (g, x), (y,) = ins, outs
        sizes: Params = {"h": y.shape[1], "w": y.shape[2], "c": y.shape[3], "oh": g.shape[1], "ow": g.shape[2]}
        sizes |= {"kh": self.size[0], "kw": self.size[1], "stride_y": self.stride[0], "stride_x": self.stride[1]}
        sizes |= {"top": self.pads[0], "left": self.pads[1], "below": float(self.low), "above": float(self.high)}
        if x.dtype is S8:
            ends = fixed.clamp(self.low, self.high, x.scaling, self.rounding)
            sizes |= {"below": float(ends["lo"] - 1), "above": float(ends["hi"] + 1)}
        return sizes | {"g_pitch": g.shape[3], "x_pitch": x.shape[3], "y_pitch": y.shape[3]}

    def macs(self, ins: Types, outs: Types) -> int:
        """Comparisons."""
        return ins[0].size * self.size[0] * self.size[1]

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Windows that overlap, lie beyond the edge, and leave elements out; equal elements."""
        x, f = TensorType((1, 6, 7, 5), S8, Quant((0.05,), 3)), TensorType((1, 5, 5, 3), F32)
        flat = Example.random(cls((2, 2), (2, 2), (0, 0, 0, 0)), TensorType((1, 3, 3, 5), F32), x)
        flat.args[1][:] //= 100
        return (
            Example.random(cls((3, 3), (2, 2), (1, 1, 1, 1), 0.0, 4.0), TensorType((1, 3, 4, 5), F32), x),
            flat,
            Example.random(cls((3, 2), (1, 3), (0, 1, 2, 0), 0.0), TensorType((1, 5, 2, 3), F32), f),
        )
