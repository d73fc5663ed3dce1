"""The fully connected layer. Floor 3."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tte.arith import fixed
from tte.layouts import dsp, hvx, lanes, mve
from tte.op import Arrays, Cut, Example, Kernel, Op, Params, Types
from tte.types import Array, DType, Quant, Rounding, TensorType

F32, S8, S32 = DType.F32, DType.S8, DType.S32
MAX_K = 2**15  # 255 * 128 * 2**15 < 2**30, which leaves the bias its whole range


@dataclass(frozen=True, slots=True)
class Linear(Op):
    """y[m,n] = clamp(x[m,k] . w[n,k]^T + b[n], low, high); in f32, b may be absent.

    In s8, w is symmetric with a scale per row or one for all, b is s32 at scale s_x * s_w, and sums are brought back
    to `out` by `rounding`; where `out` is None, y is f32: f32(sum) * f32(s_x * s_w). With `sums`, y is the sums
    themselves in s32, b may be absent, and |b| is at most 2**29.
    """

    low: float = -math.inf
    high: float = math.inf
    out: Quant | None = None
    rounding: Rounding = Rounding.SINGLE
    sums: bool = False

    operands = ("x", "w", "b")
    optional = 1
    kernels = (
        Kernel("tte_linear_s8", "linear_s8.h", (S8, S8, S32), (S8,), per_mac=7.0),
        Kernel(
            "tte_linear_s8_dsp",
            "linear_s8_dsp.h",
            (S8, S8, S32),
            (S8,),
            isa="dsp",
            pack=dsp.by_pairs,
            per_mac=1.5,
            per_out=15.0,
        ),
        Kernel(
            "tte_linear_s8_mve",
            "linear_s8_mve.h",
            (S8, S8, S32),
            (S8,),
            isa="mve",
            pack=mve.dots,
            per_mac=0.15,
            per_out=5.0,
        ),
        Kernel(
            "tte_linear_s8_f32_mve",
            "linear_s8_mve.h",
            (S8, S8, S32),
            (F32,),
            isa="mve",
            when=lambda ins, outs, params: params["low"] == -math.inf and params["high"] == math.inf,
            needs="no clamp",
            pack=mve.reals,
            per_mac=0.15,
            per_out=5.0,
        ),
        Kernel(
            "tte_linear_s8_f32_dsp",
            "linear_s8_dsp.h",
            (S8, S8, S32),
            (F32,),
            isa="dsp",
            pack=dsp.by_pairs,
            per_mac=1.4,
            per_out=12.0,
        ),
        Kernel(
            "tte_linear_s8_hvx",
            "linear_s8_hvx.h",
            (S8, S8, S32),
            (S8,),
            isa="hvx",
            when=hvx.once,
            needs="one rounding",
            scratch=lambda ins, outs, params: hvx.packed(*ins[0].shape),
            pack=hvx.dots,
            per_mac=0.005,
            per_out=0.5,
        ),
        Kernel(
            "tte_linear_s8_f32_hvx",
            "linear_s8_hvx.h",
            (S8, S8, S32),
            (F32,),
            isa="hvx",
            when=hvx.plain,
            needs="no clamp, nor extreme scales",
            scratch=lambda ins, outs, params: hvx.packed(*ins[0].shape),
            pack=hvx.reals,
            per_mac=0.005,
            per_out=0.8,
        ),
        Kernel(
            "tte_linear_s8_s32_hvx",
            "linear_s8_hvx.h",
            (S8, S8, S32),
            (S32,),
            isa="hvx",
            optional=1,
            scratch=lambda ins, outs, params: hvx.packed(*ins[0].shape),
            pack=hvx.sums,
            per_mac=0.005,
            per_out=0.4,
        ),
        Kernel("tte_linear_s8_f32", "linear_s8.h", (S8, S8, S32), (F32,), per_mac=7.0),
        Kernel(
            "tte_linear_s8_s32",
            "linear_s8.h",
            (S8, S8, S32),
            (S32,),
            optional=1,
            takes=("w", "b", "y"),
            per_mac=7.0,
        ),
        Kernel(
            "tte_linear_f32",
            "linear_f32.h",
            (F32, F32, F32),
            (F32,),
            optional=1,
            takes=("w", "b", "y"),
            per_mac=6.0,
        ),
        Kernel(
            "tte_linear_f32_simd",
            "linear_f32_simd.h",
            (F32, F32, F32),
            (F32,),
            isa="simd",
            pack=lanes.blocks,
            packs=("w",),
            optional=1,
            takes=("w", "b", "y"),
            per_mac=0.8,
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """x[m,k], w[n,k] and perhaps b[n] give y[m,n]."""
        x, w = types[:2]
        self.expect(len(x.shape) == len(w.shape) == 2, f"x and w must be matrices, not {x} and {w}")
        self.expect(0 not in (*x.shape, *w.shape), f"{x} and {w} must not be empty")
        self.expect(x.shape[1] == w.shape[1], f"x has {x.shape[1]} columns and w has {w.shape[1]}")
        for b in types[2:]:
            self.expect(b.shape == w.shape[:1], f"b must be a vector of {w.shape[0]}, not {b}")
        if x.dtype is S8:
            self.expect(len(types) == 3 or self.sums, "in s8 it needs b")
            self.expect(None not in (x.quant, w.quant), "x and w need scales")
            self.expect(w.scaling.zero == 0 and w.scaling.axis in (None, 0), "w must be symmetric, scaled by row")
            self.expect(x.shape[1] <= MAX_K, f"more than {MAX_K} columns may overflow", "split the layer")
        shape = x.shape[0], w.shape[0]
        if self.sums:
            self.expect(x.dtype is S8 and replace(self, sums=False) == Linear(), "sums are of s8, and come as they are")
            return (TensorType(shape, S32, _product(x.scaling, w.scaling)),)
        return (TensorType(shape, x.dtype if self.out else F32, self.out),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: integer sums in 64 bits; floats are added in order of k, the bias last."""
        x, w = args[:2]
        b: Array = args[2] if len(args) > 2 else np.zeros(1, x.dtype)
        if ins[0].dtype is F32:
            acc = np.zeros(outs[0].shape, x.dtype)
            for k in range(x.shape[1]):
                acc += x[:, k : k + 1] * w[:, k]
            return (np.clip(acc + b, self.low, self.high).astype(x.dtype),)
        p = self.params(ins, outs)
        acc = (x.astype(np.int64) - ins[0].scaling.zero) @ w.astype(np.int64).T + b
        if self.sums:
            return (acc.astype(np.int32),)
        if self.out is None:
            return (np.clip(acc.astype(np.float32) * p["scale"], np.float32(self.low), np.float32(self.high)),)
        y = fixed.finish(self.rounding, acc, np.asarray(p["q"])) + p["zero_y"]
        return (y.clip(p["lo"], p["hi"]).astype(np.int8),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes; in s8 also zero points, the clamp, and multiplier and shift per row of w."""
        (x, w), (y,) = ins[:2], outs
        sizes: Params = {"m": x.shape[0], "n": w.shape[0], "k": x.shape[1]}
        if x.dtype is F32:
            return sizes | {"low": self.low, "high": self.high}
        if self.sums:
            return sizes | {"zero_x": x.scaling.zero}
        if self.out is None:
            scale: Array = np.broadcast_to(np.asarray(_product(x.scaling, w.scaling).scale, np.float32), w.shape[:1])
            return sizes | {"zero_x": x.scaling.zero, "low": self.low, "high": self.high, "scale": scale}
        q = fixed.channels(self.rounding, x.scaling, w.scaling, y.scaling, w.shape[0])
        zeros = {"zero_x": x.scaling.zero, "zero_y": y.scaling.zero}
        clamp = fixed.clamp(self.low, self.high, y.scaling, self.rounding)
        return (
            sizes
            | zeros
            | clamp
            | {"rounding": list(Rounding).index(self.rounding), "shift": fixed.least_shift(q), "q": q}
        )

    def cut(self, ins: Types, outs: Types) -> Cut | None:
        """In f32 by rows; one row by its outputs."""
        (m, k), n = ins[0].shape, outs[0].shape[1]
        if ins[0].dtype is not F32:
            return None
        return Cut("m", {"x": k, "y": n}) if m > 1 else Cut("n", {"y": 1}, consts=("w", "b"))

    def macs(self, ins: Types, outs: Types) -> int:
        """m * n * k."""
        return outs[0].size * ins[0].shape[1]

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """f32 and s8 in all roundings, by row and by tensor, ragged sizes, a dead channel with a bias at the limit."""
        q, y = Quant((0.05,), 3), Quant((0.4,), -7)
        rows = Quant((0.02, 0.004, 4e-9), 0, 0)
        x, w, b = TensorType((2, 21), S8, q), TensorType((3, 21), S8, rows), TensorType((3,), S32)
        dead = Example.random(cls(0.0, 6.0, y, Rounding.ONNX), x, w, b, consts=(1, 2))
        dead.args[2][-1] = -(2**31)
        wide = TensorType((1, 64), S8, q), TensorType((10, 64), S8, Quant((0.02,))), TensorType((10,), S32)
        floats = TensorType((2, 5), F32), TensorType((4, 5), F32), TensorType((4,), F32)
        many = TensorType((3, 7), F32), TensorType((37, 7), F32), TensorType((37,), F32)
        return (
            dead,
            Example.random(cls(out=y), x, w, b, consts=(1, 2)),
            Example.random(cls(0.0, math.inf, y, Rounding.TFLITE), x, w, b, consts=(1, 2)),
            Example.random(cls(out=y), *wide, consts=(1, 2)),
            Example.random(cls(), x, w, b, consts=(1, 2)),
            Example.random(cls(sums=True), *wide[:2], consts=(1,)),
            Example.random(cls(sums=True), x, w, b, consts=(1, 2), below=2**29),
            Example.random(cls(), *floats, consts=(1, 2)),
            Example.random(cls(low=0.0), *floats),
            *(e for m, n, k in _RAGGED for e in _ragged(m, n, k)),
            Example.random(cls(), *floats[:2], consts=(1,)),
            Example.random(cls(high=0.5), *floats[:2]),
            Example.random(cls(-0.5, 0.5), *many, consts=(1, 2)),
            Example.random(cls(), *many[:2], consts=(1,)),
        )


def _product(x: Quant, w: Quant) -> Quant:
    """The scales of sums, in float32: that of x times each of w, which are those of y's columns."""
    scales = np.asarray(w.scale, np.float32) * np.float32(x.scale[0])
    return Quant(tuple(scales.tolist()), 0, None if w.axis is None else 1)


_RAGGED = (1, 1, 1), (2, 31, 3), (7, 33, 5), (9, 64, 3), (1, 4, 128), (2, 3, 172), (17, 2, 20), (3, 1, 300)


def _ragged(m: int, n: int, k: int) -> tuple[Example, ...]:
    """Results in s8, from lost to beyond s32; in f32, from sums beyond 24 bits; the first row of x at its limit."""
    x, y = Quant((0.05,), 127), Quant((0.4,), -100)
    w = TensorType((n, k), S8, Quant(tuple(1.0001 * 2.0 ** (4 - i % 24) for i in range(n)), 0, 0))
    ins = TensorType((m, k), S8, x), w, TensorType((n,), S32)
    found = (
        Example.random(Linear(-30.0, 60.0, y, Rounding.SINGLE), *ins, consts=(1, 2)),
        Example.random(Linear(-30.0, 60.0, y, Rounding.SINGLE), *ins, consts=(1, 2), below=2**30),
        Example.random(Linear(), *ins, consts=(1, 2), below=2**30, seed=1),
    )
    for e in found:
        e.args[0][0], e.args[1][0] = -128, -128
    return found
