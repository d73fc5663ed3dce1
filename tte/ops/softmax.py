"""Softmax. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import fixed, fixed_exp, floatmath
from tte.errors import Unsupported
from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values
from tte.ops.softmax_grad import SoftmaxGrad
from tte.types import DType, Quant, Rounding, TensorType, Value

F32, S8 = DType.F32, DType.S8
LITERT = Quant((1 / 256,), -128)  # the only scale of results that LiteRT has


@dataclass(frozen=True, slots=True)
class Softmax(Op):
    """y = e**(beta * x) / sum of e**(beta * x), along the last axis.

    In s8, by `rounding`: TFLITE (and SINGLE) computes in fixed point, and `out` must be 1/256 with zero -128; ONNX
    computes in f32, with powers of e from a table over the distance from the greatest element, and quantises to `out`.
    """

    beta: float = 1.0
    out: Quant | None = None
    rounding: Rounding = Rounding.TFLITE

    kernels = (
        Kernel(
            "tte_softmax_s8",
            "softmax.h",
            (S8,),
            (S8,),
            when=lambda ins, outs, params: "scale_y" not in params,
            needs="LiteRT's fixed point",
            per_out=60.0,
        ),
        Kernel(
            "tte_softmax_s8_mve",
            "softmax_mve.h",
            (S8,),
            (S8,),
            isa="mve",
            when=lambda ins, outs, params: "scale_y" not in params,
            needs="LiteRT's fixed point",
            per_out=8.0,
        ),
        Kernel(
            "tte_softmax_s8_dsp",
            "softmax_dsp.h",
            (S8,),
            (S8,),
            isa="dsp",
            when=lambda ins, outs, params: "scale_y" not in params and ins[0].shape[-1] >= 4,
            needs="LiteRT's fixed point, rows of four or more",
            per_out=30.0,
        ),
        Kernel(
            "tte_softmax_onnx_s8",
            "softmax.h",
            (S8,),
            (S8,),
            when=lambda ins, outs, params: "scale_y" in params,
            needs="f32 inside",
            per_out=40.0,
        ),
        Kernel("tte_softmax_f32", "softmax.h", (F32,), (F32,), per_out=60.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """y has the shape of x."""
        (x,) = types
        self.expect(x.shape != () and 0 not in x.shape, f"{x} has no last axis, or is empty")
        self.expect(0 < self.beta < 1e6, f"beta {self.beta:g} is not positive")
        if x.dtype is S8:
            self.expect(None not in (x.quant, self.out), "x and the result need scales")
            self.expect(x.scaling.scale[0] * self.beta >= 2**-26, f"the scale of {x} is too small")
            self.expect(x.shape[-1] <= 4095, "more than 4095 elements may overflow")
            self.expect(
                self.rounding is Rounding.ONNX or self.out == LITERT, "the result must have scale 1/256, zero -128"
            )
        return (TensorType(x.shape, x.dtype, self.out),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact; floats are added in order."""
        (x,), p = args, self.params(ins, outs)
        if ins[0].dtype is F32:
            e = floatmath.exp((x - x.max(-1, keepdims=True)) * np.float32(self.beta))
            return ((e / floatmath.total(e)).astype(x.dtype),)
        e = np.asarray(p["table"])[x.max(-1, keepdims=True).astype(np.int64) - x]
        if self.rounding is Rounding.ONNX:
            q = fixed.round_even(e / floatmath.total(e) / np.float32(p["scale_y"])) + p["zero_y"]
        else:
            e = e.astype(np.int64)
            r, bits = fixed_exp.reciprocal(fixed.divide_by_power(e, 12).sum(-1, keepdims=True))
            q = fixed.divide_by_power(fixed.round_shift(r * e, 31), bits + 23) - 128
        return (np.clip(q, -128, 127).astype(np.int8),)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """In f32 by the result."""
        if grads[0] is None:
            return (None,)
        if outs[0].type.dtype is not F32:
            raise Unsupported(self.label(), "has no gradient in s8", "train on its argument")
        return graph.emit(SoftmaxGrad(self.beta), grads[0], outs[0])

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes; in s8 also e**(-beta * s_x * d) for d = 0..255, in fixed point or f32."""
        x = ins[0]
        sizes: Params = {"rows": x.size // x.shape[-1], "depth": x.shape[-1]}
        if x.dtype is F32:
            return sizes | {"beta": self.beta}
        scale = x.scaling.scale[0]
        if self.rounding is not Rounding.ONNX:
            return sizes | {"table": fixed_exp.softmax_table(scale, self.beta)}
        y = outs[0].scaling
        d = np.arange(256, dtype=np.float32)
        table = floatmath.exp(-d * np.float32(scale) * np.float32(self.beta))
        return sizes | {"scale_y": y.scale[0], "zero_y": y.zero, "table": table}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Fixed point and floats, small and large scales, equal elements, one element."""
        x = TensorType((3, 12), S8, Quant((0.14,), 14))
        flat = Example(cls(out=LITERT), (x,), (np.full((3, 12), 5, np.int8),))
        return (
            Example.random(cls(out=LITERT), x),
            Example.random(cls(0.5, LITERT), TensorType((1, 300), S8, Quant((0.011,), 0))),
            Example.random(cls(out=LITERT), TensorType((1, 7), S8, Quant((20.0,), 0))),
            flat,
            Example.random(cls(out=LITERT), TensorType((2, 1), S8, Quant((0.1,), 0))),
            Example.random(cls(out=Quant((0.004,), -128), rounding=Rounding.ONNX), x),
            Example.random(cls(1.5), TensorType((2, 10), F32)),
        )
