"""Maximum pooling. Floor 3."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import numpy as np

from tte.arith import fixed
from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values, Window
from tte.ops.max_pool_grad import MaxPoolGrad
from tte.shapes.geometry import pooled, taps, well_formed
from tte.types import DType, Quant, Rounding, TensorType, Value

F32, S8 = DType.F32, DType.S8


@dataclass(frozen=True, slots=True)
class MaxPool(Op):
    """y[1,oh,ow,c] = clamp(greatest element of x[1,h,w,c] under a window, low, high).

    Elements outside x do not count. The scale of x is kept; `rounding` says how low and high become integers.
    """

    size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right
    low: float = -math.inf
    high: float = math.inf
    rounding: Rounding = Rounding.TFLITE

    kernels = (
        Kernel("tte_max_pool_s8", "max_pool.h", (S8,), (S8,), form="window", per_mac=4.0),
        Kernel(
            "tte_max_pool_s8_mve", "max_pool_mve.h", (S8,), (S8,), isa="mve", form="window", per_mac=0.3, per_out=1.0
        ),
        Kernel(
            "tte_max_pool_s8_dsp",
            "pool_dsp.h",
            (S8,),
            (S8,),
            isa="dsp",
            form="window",
            when=lambda ins, outs, params: ins[0].shape[3] >= 4,
            needs="four channels or more",
            per_mac=1.5,
            per_out=3.0,
        ),
        Kernel("tte_max_pool_f32", "max_pool.h", (F32,), (F32,), form="window", per_mac=4.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """x[1,h,w,c] gives y[1,oh,ow,c]."""
        (x,) = types
        self.expect(len(x.shape) == 4 and 0 not in x.shape, f"x must have four dimensions, none empty, not {x}")
        self.expect(x.shape[0] == 1, f"batch {x.shape[0]} is not supported", "export the model with batch 1")
        self.expect(well_formed(self.size, self.stride, self.pads), f"{self} is malformed")
        oh, ow = pooled(x.shape, self.size, self.stride, self.pads)
        self.expect(oh > 0 and ow > 0, f"the window is larger than the padded {x}")
        self.expect(x.dtype is not S8 or x.quant is not None, "x needs a scale")
        return (TensorType((1, oh, ow, x.shape[3]), x.dtype, x.quant),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Element by element; NaN is not defined."""
        (x,) = args
        fill = -math.inf if ins[0].dtype is F32 else -128
        y = reduce(np.maximum, taps(x, self.size, self.stride, self.pads, fill))
        if ins[0].dtype is F32:
            return (np.clip(y, self.low, self.high).astype(x.dtype),)
        p = self.params(ins, outs)
        return (np.clip(y, p["lo"], p["hi"]).astype(np.int8),)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """Each window's gradient where its greatest element lies."""
        op = MaxPoolGrad(self.size, self.stride, self.pads, self.low, self.high, self.rounding)
        return graph.emit(op, grads[0], ins[0]) if grads[0] else (None,)

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes and the clamp."""
        (x,), (y,) = ins, outs
        sizes: Params = {"w": x.shape[2], "c": x.shape[3], "kw": self.size[1], "ow": y.shape[2]}
        sizes |= {"stride": self.stride[1], "left": self.pads[1]}
        if x.dtype is F32:
            return sizes | {"low": self.low, "high": self.high}
        return sizes | fixed.clamp(self.low, self.high, y.scaling, self.rounding)

    def window(self, ins: Types, outs: Types) -> Window:
        """The rows that are pooled."""
        return Window(self.size[0], self.stride[0], self.pads[0])

    def macs(self, ins: Types, outs: Types) -> int:
        """Comparisons of all outputs, those of padding included."""
        return outs[0].size * math.prod(self.size)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Windows over the edge, odd strides, a clamp."""
        x, f = TensorType((1, 6, 7, 5), S8, Quant((0.05,), 3)), TensorType((1, 5, 5, 3), F32)
        return (
            Example.random(cls((3, 3), (2, 2), (1, 1, 1, 1)), x),
            Example.random(cls((2, 2), (2, 2), low=0.0, high=1.0), x),
            Example.random(cls((6, 2), (1, 3), (0, 1, 0, 1)), x),
            Example.random(cls((3, 3), (2, 2), (0, 0, 1, 1), 0.0, 1.5), f),
        )
