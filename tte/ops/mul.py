"""Product of two tensors. Floor 3."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tte.arith import fixed, stepping
from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Slices, Types, Values
from tte.ops.broadcast_grad import BroadcastGrad
from tte.ops.mask_grad import unclamped
from tte.shapes import broadcast, clamps
from tte.types import DType, Quant, Rounding, TensorType, Value

F32, S8 = DType.F32, DType.S8
EITHER = ((0, 0), (1, 0))


def by_number(ins: Types, outs: Types, params: Params) -> bool:
    """The second factor is one number."""
    return ins[1].size == 1 and bool(ins[0].shape) and ins[0].shape == outs[0].shape


def same(ins: Types, outs: Types, params: Params) -> bool:
    """Neither input is repeated."""
    return ins[0].shape == ins[1].shape


@dataclass(frozen=True, slots=True)
class Mul(Op):
    """y = clamp(a * b, low, high), element by element; axes of one element are repeated, as in numpy.

    In s8, by `rounding`: TFLITE (and SINGLE) brings the product to `out` by a Q31 multiplier, rounded twice; ONNX
    computes in f32. `masked` adds a result u1: 1 where the value before the clamp lay within it.
    """

    low: float = -math.inf
    high: float = math.inf
    out: Quant | None = None
    rounding: Rounding = Rounding.TFLITE
    masked: bool = False

    operands = ("a", "b")
    kernels = (
        Kernel(
            "tte_mul_s8",
            "mul.h",
            (S8, S8),
            (S8,),
            form="flat",
            inplace=EITHER,
            when=same,
            needs="one shape",
            takes=("b", "y", "y1"),
        ),
        Kernel("tte_mul_broadcast_s8", "mul.h", (S8, S8), (S8,), per_out=30.0, takes=("b", "y", "y1")),
        Kernel("tte_mul_f32", "mul.h", (F32, F32), (F32,), form="flat", inplace=EITHER, when=same, needs="one shape"),
        Kernel(
            "tte_mul_number_f32",
            "mul.h",
            (F32, F32),
            (F32,),
            form="channels",
            inplace=((0, 0),),
            when=by_number,
            needs="b one number",
            per_out=7.0,
        ),
        Kernel("tte_mul_broadcast_f32", "mul.h", (F32, F32), (F32,), per_out=30.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """a and b give y of their common shape, and the mask."""
        a, b = types
        return clamps.results(self, broadcast.result(self, a, b, self.out)[0], self.masked)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        (a, b), p = args, self.params(ins, outs)
        if ins[0].dtype is F32:
            return (np.clip(a * b, self.low, self.high).astype(a.dtype),)
        a, b = (v.astype(np.int64) - int(p[f"zero_{k}"]) for v, k in ((a, "a"), (b, "b")))
        if self.rounding is Rounding.ONNX:
            real = a.astype(np.float32) * np.float32(p["scale_a"]) * (b.astype(np.float32) * np.float32(p["scale_b"]))
            q = fixed.round_even(real / np.float32(p["scale_y"]))
        else:
            q = fixed.scaled(a * b, int(p["m"]), int(p["shift"]))
        return clamps.clamped(q + p["zero_y"], int(p["lo"]), int(p["hi"]), outs)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """Times the other factor, summed where this one was repeated."""
        if grads[0] is None:
            return None, None
        g, (a, b) = unclamped(graph, grads[0], outs, self.low, self.high), ins
        (of_a,), (of_b,) = (graph.emit(BroadcastGrad(v.type.shape), g, by) for v, by in ((a, b), (b, a)))
        return of_a, of_b

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Channels of axis 0, times a number."""
        return stepping.rows(ins, outs, whole=1)

    def params(self, ins: Types, outs: Types) -> Params:
        """Size, strides, clamp; in s8 also zero points, scales and LiteRT's multiplier and right shift."""
        (a, b), y = ins, outs[0]
        sizes: Params = broadcast.strides(a, b) | {"size": y.size}
        if a.dtype is F32:
            return sizes | {"low": self.low, "high": self.high}
        scales = {"scale_a": a.scaling.scale[0], "scale_b": b.scaling.scale[0], "scale_y": y.scaling.scale[0]}
        product = np.float32(scales["scale_a"]) * np.float32(scales["scale_b"])
        m, shift = fixed.multiplier(float(product / np.float32(scales["scale_y"])))
        zeros = {"zero_a": a.scaling.zero, "zero_b": b.scaling.zero, "zero_y": y.scaling.zero}
        clamp = fixed.clamp(self.low, self.high, y.scaling, self.rounding)
        finish = {"m": m, "shift": shift, "onnx": int(self.rounding is Rounding.ONNX)}
        return sizes | scales | zeros | clamp | finish

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Both roundings, a clamp, one factor per channel, one for all, and numbers."""
        q, onnx = Quant((0.1,), 9), Rounding.ONNX
        a, b = TensorType((1, 3, 5, 4), S8, Quant((0.05,), 3)), TensorType((1, 3, 5, 4), S8, Quant((0.07,), -128))
        gate, f = TensorType((1, 1, 1, 4), S8, Quant((1 / 256,), -128)), TensorType((2, 9), F32)
        return (
            Example.random(cls(out=q), a, b),
            Example.random(cls(0.0, 6.0, Quant((0.02,), -128)), a, gate),
            Example.random(cls(out=q, rounding=onnx), a, b),
            Example.random(cls(out=q, rounding=onnx), TensorType((1,), S8, q), a, consts=(0,)),
            Example.random(cls(out=Quant((0.02,), 9), masked=True), a, b),
            Example.random(cls(0.0, 2.0, q, onnx, True), a, gate),
            Example.random(cls(high=1.0), f, f),
            Example.random(cls(), f, TensorType((2, 1), F32)),
            Example.random(cls(-0.5), f, TensorType((1, 1), F32)),
        )
