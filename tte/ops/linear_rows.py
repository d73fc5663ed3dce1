"""The fully connected layer of s8 rows that have a scale each. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.layouts import lanes
from tte.op import Arrays, Cut, Example, Kernel, Op, Params, Types
from tte.types import Array, DType, Quant, TensorType

F32, S8 = DType.F32, DType.S8
MAX_K = 2**17  # 128 * 127 * 2**17 < 2**31


@dataclass(frozen=True, slots=True)
class LinearRows(Op):
    """y[m,n] = f32(q[m,k] . w[n,k]^T) * (s[m] * s_w[n]) + b[n], of what quantize_rows makes; b may be absent.

    w is symmetric with a scale per row or one for all; sums are exact.
    """

    operands = ("q", "s", "w", "b")
    optional = 1
    kernels = (
        Kernel(
            "tte_linear_rows_s8",
            "linear_rows.h",
            (S8, F32, S8, F32),
            (F32,),
            optional=1,
            takes=("s", "w", "scale", "b", "y"),
            per_mac=4.0,
        ),
        Kernel(
            "tte_linear_rows_s8_simd",
            "linear_rows_simd.h",
            (S8, F32, S8, F32),
            (F32,),
            isa="simd",
            pack=lanes.fours,
            packs=("w",),
            optional=1,
            takes=("s", "w", "scale", "b", "y"),
            per_mac=0.6,
            per_out=2.0,
        ),
        Kernel(
            "tte_linear_rows_s8_i8mm",
            "linear_rows_i8mm.h",
            (S8, F32, S8, F32),
            (F32,),
            isa="i8mm",
            when=lambda ins, outs, params: ins[0].shape[0] > 1,
            needs="more than one row",
            pack=lanes.rows_of_eight,
            packs=("w",),
            optional=1,
            takes=("s", "w", "scale", "b", "y"),
            per_mac=0.08,
            per_out=2.0,
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """q[m,k], s[m], w[n,k] and perhaps b[n] give y[m,n] in f32."""
        q, s, w = types[:3]
        self.expect(len(q.shape) == len(w.shape) == 2, f"q and w must be matrices, not {q} and {w}")
        self.expect(0 not in (*q.shape, *w.shape), f"{q} and {w} must not be empty")
        self.expect(q.shape[1] == w.shape[1], f"q has {q.shape[1]} columns and w has {w.shape[1]}")
        self.expect(s.shape == q.shape[:1], f"s must be a vector of {q.shape[0]}, not {s}")
        self.expect(w.quant is not None, "w needs scales")
        self.expect(w.scaling.zero == 0 and w.scaling.axis in (None, 0), "w must be symmetric, scaled by row")
        self.expect(q.shape[1] <= MAX_K, f"more than {MAX_K} columns may overflow", "split the layer")
        for b in types[3:]:
            self.expect(b.shape == w.shape[:1], f"b must be a vector of {w.shape[0]}, not {b}")
        return (TensorType((q.shape[0], w.shape[0]), F32),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact; sums in float64, which holds them."""
        q, s, w = args[:3]
        b: Array = args[3] if len(args) > 3 else np.zeros(1, np.float32)
        sums = (q.astype(np.float64) @ w.astype(np.float64).T).astype(np.float32)
        return (sums * (s[:, None] * _scales(ins[2])) + b,)

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes, and the scale of each row of w."""
        (m, k), n = ins[0].shape, ins[2].shape[0]
        return {"m": m, "n": n, "k": k, "scale": _scales(ins[2])}

    def cut(self, ins: Types, outs: Types) -> Cut:
        """By rows; one row by its outputs."""
        (m, k), n = ins[0].shape, outs[0].shape[1]
        return Cut("m", {"q": k, "s": 1, "y": n}) if m > 1 else Cut("n", {"y": 1}, consts=("w", "scale", "b"))

    def macs(self, ins: Types, outs: Types) -> int:
        """m * n * k."""
        return outs[0].size * ins[0].shape[1]

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Ragged in all directions, with a bias and without, a scale per row and one for all, the largest products."""
        q, s = TensorType((3, 23), S8), TensorType((3,), F32)
        w = TensorType((37, 23), S8, Quant(tuple(0.01 + 0.001 * i for i in range(37)), 0, 0))
        least = Example.random(
            cls(), TensorType((2, 64), S8), s0 := TensorType((2,), F32), TensorType((16, 64), S8, ONE)
        )
        least.args[0][:], least.args[2][:] = -128, -128
        return (
            Example.random(cls(), q, s, w, TensorType((37,), F32), consts=(2, 3)),
            Example.random(cls(), q, s, w, consts=(2,)),
            Example.random(cls(), TensorType((2, 8), S8), s0, TensorType((5, 8), S8, ONE)),
            Example.random(
                cls(), TensorType((1, 9), S8), TensorType((1,), F32), TensorType((18, 9), S8, ONE), consts=(2,)
            ),
            Example.random(
                cls(), TensorType((7, 13), S8), TensorType((7,), F32), TensorType((17, 13), S8, ONE), consts=(2,)
            ),
            Example(cls(), least.ins, least.args, (2,)),
        )


ONE = Quant((0.02,))


def _scales(w: TensorType) -> Array:
    return np.broadcast_to(np.asarray(w.scaling.scale, np.float32), w.shape[:1])
