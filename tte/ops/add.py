"""Sum and difference of two tensors. Floor 3."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tte.arith import fixed
from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values
from tte.ops.broadcast_grad import BroadcastGrad
from tte.ops.mask_grad import unclamped
from tte.shapes import broadcast, clamps
from tte.types import DType, Quant, Rounding, TensorType, Value

F32, S8 = DType.F32, DType.S8
EITHER = ((0, 0), (1, 0))
LEFT = 20  # bits that LiteRT keeps below the binary point


def same(ins: Types, outs: Types, params: Params) -> bool:
    """Neither input is repeated."""
    return ins[0].shape == ins[1].shape


@dataclass(frozen=True, slots=True)
class Add(Op):
    """y = clamp(a + b, low, high); axes of one element are repeated, as in numpy.

    In s8, by `rounding`: TFLITE (and SINGLE) brings a and b to twice the larger scale with 20 more bits, adds, and
    brings the sum to `out`, each rounded twice; ONNX computes in f32. `masked` adds a result u1: 1 where the value
    before the clamp lay within it.
    """

    low: float = -math.inf
    high: float = math.inf
    out: Quant | None = None
    rounding: Rounding = Rounding.TFLITE
    masked: bool = False

    operands = ("a", "b")
    sign: ClassVar[int] = 1
    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel(
            "tte_add_s8",
            "add.h",
            (S8, S8),
            (S8,),
            form="flat",
            inplace=EITHER,
            when=same,
            needs="one shape",
            takes=("b", "y", "y1"),
        ),
        Kernel(
            "tte_add_s8_mve",
            "add_mve.h",
            (S8, S8),
            (S8,),
            isa="mve",
            form="flat",
            inplace=EITHER,
            when=same,
            needs="one shape",
            per_out=5.0,
        ),
        Kernel(
            "tte_add_s8_dsp",
            "add_dsp.h",
            (S8, S8),
            (S8,),
            isa="dsp",
            form="flat",
            inplace=EITHER,
            when=same,
            needs="one shape",
            per_out=18.0,
            takes=("b", "y", "y1"),
        ),
        Kernel("tte_add_broadcast_s8", "add.h", (S8, S8), (S8,), per_out=40.0, takes=("b", "y", "y1")),
        Kernel("tte_add_f32", "add.h", (F32, F32), (F32,), form="flat", inplace=EITHER, when=same, needs="one shape"),
        Kernel("tte_add_broadcast_f32", "add.h", (F32, F32), (F32,), per_out=30.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """a and b give y of their common shape, and the mask."""
        a, b = types
        return clamps.results(self, broadcast.result(self, a, b, self.out)[0], self.masked)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        (a, b), p = args, self.params(ins, outs)
        if ins[0].dtype is F32:
            return (np.clip(a + self.sign * b, self.low, self.high).astype(a.dtype),)
        a, b = (v.astype(np.int64) - int(p[f"zero_{k}"]) for v, k in ((a, "a"), (b, "b")))
        if self.rounding is Rounding.ONNX:
            real = a.astype(np.float32) * np.float32(p["scale_a"])
            real = real + self.sign * (b.astype(np.float32) * np.float32(p["scale_b"]))
            q = fixed.round_even(real / np.float32(p["scale_y"]))
        else:
            a = fixed.scaled(a * 2**LEFT, int(p["m_a"]), int(p["shift_a"]))
            b = fixed.scaled(b * 2**LEFT, int(p["m_b"]), int(p["shift_b"]))
            q = fixed.scaled(a + self.sign * b, int(p["m_y"]), int(p["shift_y"]))
        return clamps.clamped(q + p["zero_y"], int(p["lo"]), int(p["hi"]), outs)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """The gradient of the result, summed where an input was repeated."""
        if grads[0] is None:
            return None, None
        g, (a, b) = unclamped(graph, grads[0], outs, self.low, self.high), (v.type.shape for v in ins)
        of_a = g if a == g.type.shape else graph.emit(BroadcastGrad(a), g)[0]
        of_b = g if (b, self.sign) == (g.type.shape, 1) else graph.emit(BroadcastGrad(b, float(self.sign)), g)[0]
        return of_a, of_b

    def params(self, ins: Types, outs: Types) -> Params:
        """Size, strides, sign, clamp; in s8 also zero points, scales and LiteRT's multipliers and right shifts."""
        (a, b), y = ins, outs[0]
        sizes: Params = broadcast.strides(a, b) | {"size": y.size, "sign": self.sign}
        if a.dtype is F32:
            return sizes | {"low": self.low, "high": self.high}
        scales = {"a": a.scaling.scale[0], "b": b.scaling.scale[0], "y": y.scaling.scale[0]}
        twice = 2 * max(scales["a"], scales["b"])
        real = {"a": scales["a"] / twice, "b": scales["b"] / twice, "y": twice / (2**LEFT * scales["y"])}
        self.expect(real["y"] < 1, f"the scales of {a}, {b} and {y} are too far apart")
        for key, ratio in real.items():
            sizes[f"m_{key}"], sizes[f"shift_{key}"] = fixed.multiplier(ratio)
        sizes |= {f"scale_{key}": scale for key, scale in scales.items()}
        zeros = {"zero_a": a.scaling.zero, "zero_b": b.scaling.zero, "zero_y": y.scaling.zero}
        clamp = fixed.clamp(self.low, self.high, y.scaling, self.rounding)
        return sizes | zeros | clamp | {"onnx": int(self.rounding is Rounding.ONNX)}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Both roundings, a clamp, scales far apart, either input repeated."""
        q, onnx = Quant((0.1,), 9), Rounding.ONNX
        a, b = TensorType((1, 3, 5, 4), S8, Quant((0.05,), 3)), TensorType((1, 3, 5, 4), S8, Quant((0.07,), -128))
        row, f = TensorType((4,), S8, Quant((0.0003,), 127)), TensorType((2, 9), F32)
        return (
            Example.random(cls(out=q), a, b),
            Example.random(cls(0.0, 6.0, Quant((0.02,), -128)), a, b),
            Example.random(cls(out=q), a, row, consts=(1,)),
            Example.random(cls(out=q, rounding=onnx), TensorType((1, 3, 1, 4), S8, q), a),
            Example.random(cls(0.0, out=q, rounding=onnx), a, b),
            Example.random(cls(0.0, 6.0, Quant((0.02,), -128), masked=True), a, b),
            Example.random(cls(out=Quant((0.03,), 5), rounding=onnx, masked=True), a, b),
            Example.random(cls(out=Quant((0.03,), 5), masked=True), a, row),
            Example.random(cls(low=0.0), f, f),
            Example.random(cls(), f, TensorType((2, 1), F32)),
        )


@dataclass(frozen=True, slots=True)
class Sub(Add):
    """y = clamp(a - b, low, high); all else as in add."""

    sign: ClassVar[int] = -1
    kernels: ClassVar[tuple[Kernel, ...]] = tuple(k for k in Add.kernels if k.isa != "dsp")
