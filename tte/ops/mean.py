"""Mean along axes. Floor 3."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tte.arith import fixed
from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values
from tte.ops.mask_grad import unclamped
from tte.ops.mean_grad import MeanGrad
from tte.shapes import clamps
from tte.types import Array, DType, Quant, Rounding, TensorType, Value

F32, S8 = DType.F32, DType.S8


def of_a_map(ins: Types, outs: Types, params: Params) -> bool:
    """Over all rows and columns."""
    return len(ins[0].shape) == 4 and params["inner"] == ins[0].shape[3] == outs[0].size


def sums(ins: Types, outs: Types, params: Params) -> int:
    """Bytes of an s32 per result."""
    return 4 * outs[0].size


@dataclass(frozen=True, slots=True)
class Mean(Op):
    """y = mean of x along `axes`, which are neighbours; they stay as axes of one element if `keep`.

    In s8, by `rounding`: TFLITE (and SINGLE) multiplies the sum by a Q31 number that divides by the count, rounded
    twice; ONNX divides in f32. `masked` adds a result u1: 1 where the value before the clamp lay within it.
    """

    axes: tuple[int, ...]
    keep: bool = False
    out: Quant | None = None
    rounding: Rounding = Rounding.TFLITE
    masked: bool = False

    kernels = (
        Kernel("tte_mean_s8", "mean.h", (S8,), (S8,), per_mac=4.0, takes=("y", "y1")),
        Kernel(
            "tte_mean_rows_s8",
            "mean.h",
            (S8,),
            (S8,),
            params="tte_mean_s8",
            form="accumulate",
            when=of_a_map,
            needs="the mean of a map",
            scratch=sums,
            per_mac=5.0,
        ),
        Kernel("tte_mean_f32", "mean.h", (F32,), (F32,), per_mac=4.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """x gives y without `axes`, and the mask."""
        (x,) = types
        first, rank = min(self.axes, default=0), len(x.shape)
        neighbours = (
            self.axes == tuple(range(first, first + len(self.axes))) and 0 <= first <= first + len(self.axes) <= rank
        )
        self.expect(neighbours and self.axes != (), f"{self.axes} are not neighbouring axes of {x}")
        self.expect(0 not in x.shape, f"{x} is empty")
        if x.dtype is S8:
            self.expect(None not in (x.quant, self.out), "x and the result need scales")
            self.expect(self._sizes(x)[1] < 2**23, "sums over 2**23 elements may overflow")
        kept = tuple(1 if k in self.axes else n for k, n in enumerate(x.shape) if self.keep or k not in self.axes)
        return clamps.results(self, TensorType(kept, x.dtype, self.out), self.masked)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact; floats are added in order."""
        (x,), sizes, p = args, self._sizes(ins[0]), self.params(ins, outs)
        real = ins[0].dtype is F32
        flat = x.reshape(sizes) if real else x.reshape(sizes).astype(np.int64) - int(p["zero_x"])
        total: Array = np.zeros((sizes[0], sizes[2]), flat.dtype)
        for k in range(sizes[1]):
            total += flat[:, k]
        if real:
            return ((total / x.dtype.type(sizes[1])).reshape(outs[0].shape),)
        if self.rounding is Rounding.ONNX:
            mean = total.astype(np.float32) * np.float32(p["scale_x"]) / np.float32(sizes[1])
            q = fixed.round_even(mean / np.float32(p["scale_y"]))
        else:
            q = fixed.scaled(total, int(p["m"]), int(p["shift"]))
        return clamps.clamped((q + p["zero_y"]).reshape(outs[0].shape), -128, 127, outs)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """In equal parts."""
        if grads[0] is None:
            return (None,)
        return graph.emit(MeanGrad(self.axes, ins[0].type.shape), unclamped(graph, grads[0], outs))

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes before, along and behind the axes; in s8 also scales, zero points, and the multiplier of the sum."""
        (x,), y = ins, outs[0]
        outer, n, inner = self._sizes(x)
        sizes: Params = {"outer": outer, "n": n, "inner": inner, "w": x.shape[-2] if len(x.shape) > 1 else 1}
        if x.dtype is F32:
            return sizes
        a, b = x.scaling, y.scaling
        m, shift = fixed.multiplier(a.scale[0] / b.scale[0])
        more = max(min(n.bit_length() - 1, 32, 31 - shift), 0)
        sizes |= {"m": (m << more) // n, "shift": shift + more, "onnx": int(self.rounding is Rounding.ONNX)}
        return sizes | {"scale_x": a.scale[0], "scale_y": b.scale[0], "zero_x": a.zero, "zero_y": b.zero}

    def _sizes(self, x: TensorType) -> tuple[int, int, int]:
        first, last = self.axes[0], self.axes[-1] + 1
        return math.prod(x.shape[:first]), math.prod(x.shape[first:last]), math.prod(x.shape[last:])

    def macs(self, ins: Types, outs: Types) -> int:
        """Additions."""
        return ins[0].size

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Rows and columns of a map, the last axis, both roundings."""
        q, y = Quant((0.05,), 3), Quant((0.04,), -5)
        x = TensorType((1, 3, 5, 6), S8, q)
        return (
            Example.random(cls((1, 2), True, q), x),
            Example.random(cls((3,), False, y), x),
            Example.random(cls((1, 2), False, y, Rounding.ONNX), x),
            Example.random(cls((1, 2), True, Quant((0.01,), 9), masked=True), x),
            Example.random(cls((3,), False, Quant((0.02,), 3), Rounding.ONNX, True), x),
            Example.random(cls((1, 2)), TensorType((1, 3, 5, 6), F32)),
        )
