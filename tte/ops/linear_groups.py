"""The fully connected layer of s8 rows and four-bit weights with a step for each group. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import progressive
from tte.layouts import lanes
from tte.op import Arrays, Consts, Cut, Example, Kernel, Op, Params, Types
from tte.types import Array, DType, TensorType

F32, S8, U8 = DType.F32, DType.S8, DType.U8
MAX_K = 2**17  # 128 * 128 * 2**17 = 2**31, which no sum reaches


def pairs(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Codes [n, k] as [n, ceil(k / 2)], two to a byte, the lower four bits first."""
    w = np.pad(consts["w"], ((0, 0), (0, ins[2].shape[1] % 2)))
    return consts | {"w": w[:, ::2] | w[:, 1::2] << 4}


@dataclass(frozen=True, slots=True)
class LinearGroups(Op):
    """y[m,n] = f32(q[m,k] . ((w - zero) * step)[n,k]^T) * (s[m] * by[n]) + b[n]; b may be absent.

    q and s are what quantize_rows makes, the rest is what `progressive.quantized` makes, and constant: w is below 16,
    step and zero are of `group` columns each, and (w - zero) * step fits s8. Sums are exact.
    """

    group: int

    operands = ("q", "s", "w", "step", "zero", "by", "b")
    optional = 1
    kernels = (
        Kernel(
            "tte_linear_groups_u4",
            "linear_groups.h",
            (S8, F32, U8, U8, U8, F32, F32),
            (F32,),
            pack=pairs,
            packs=("w",),
            optional=1,
            takes=("s", "w", "step", "zero", "by", "b", "y"),
            per_mac=8.0,
        ),
        Kernel(
            "tte_linear_groups_u4_simd",
            "linear_groups_simd.h",
            (S8, F32, U8, U8, U8, F32, F32),
            (F32,),
            isa="simd",
            pack=lanes.eights,
            packs=("w", "step", "zero", "by"),
            optional=1,
            takes=("s", "w", "step", "zero", "by", "b", "y", "scratch"),
            scratch=lambda ins, outs, params: 4 * ins[0].shape[0] * ins[3].shape[1],
            per_mac=0.5,
            per_out=5.0,
        ),
        Kernel(
            "tte_linear_groups_u4_i8mm",
            "linear_groups_i8mm.h",
            (S8, F32, U8, U8, U8, F32, F32),
            (F32,),
            isa="i8mm",
            when=lambda ins, outs, params: ins[0].shape[0] > 1 and int(params["group"]) % 16 == 0,
            needs="more than one row, and groups by 16",
            pack=lanes.sixteens,
            packs=("w", "step", "zero", "by"),
            optional=1,
            takes=("s", "w", "step", "zero", "by", "b", "y", "scratch"),
            scratch=lambda ins, outs, params: 4 * ins[0].shape[0] * ins[3].shape[1],
            per_mac=0.15,
            per_out=5.0,
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """q s8[m,k], s f32[m], w u8[n,k], step and zero u8[n,g], by f32[n] and perhaps b f32[n] give y f32[m,n]."""
        q, s, w, step, zero, by = types[:6]
        self.expect(len(q.shape) == len(w.shape) == 2, f"q and w must be matrices, not {q} and {w}")
        self.expect(0 not in (*q.shape, *w.shape), f"{q} and {w} must not be empty")
        self.expect(q.shape[1] == w.shape[1], f"q has {q.shape[1]} columns and w has {w.shape[1]}")
        self.expect(self.group > 0 and self.group % 8 == 0, f"a group must be a multiple of 8, not {self.group}")
        self.expect(q.shape[1] <= MAX_K, f"more than {MAX_K} columns may overflow", "split the layer")
        self.expect(s.shape == q.shape[:1], f"s must be a vector of {q.shape[0]}, not {s}")
        groups = w.shape[0], -(-w.shape[1] // self.group)
        self.expect(step.shape == zero.shape == groups, f"step {step} and zero {zero} must be {list(groups)}")
        for v in (by, *types[6:]):
            self.expect(v.shape == w.shape[:1], f"{v} must be a vector of {w.shape[0]}")
        return (TensorType((q.shape[0], w.shape[0]), F32),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact; sums in float64, which holds them."""
        q, s, w, step, zero, by = args[:6]
        b: Array = args[6] if len(args) > 6 else np.zeros(1, np.float32)
        weights = progressive.Groups(w, step, zero, by, self.group).bytes_in_s8
        sums = (q.astype(np.float64) @ weights.astype(np.float64).T).astype(np.float32)
        return (sums * (s[:, None] * by) + b,)

    def params(self, ins: Types, outs: Types) -> Params:
        """Sizes."""
        (m, k), (n, groups) = ins[0].shape, ins[3].shape
        return {"m": m, "n": n, "k": k, "group": self.group, "groups": groups}

    def cut(self, ins: Types, outs: Types) -> Cut:
        """By rows; one row by its outputs."""
        (m, k), n = ins[0].shape, outs[0].shape[1]
        return (
            Cut("m", {"q": k, "s": 1, "y": n}) if m > 1 else Cut("n", {"y": 1}, consts=("w", "step", "zero", "by", "b"))
        )

    def macs(self, ins: Types, outs: Types) -> int:
        """m * n * k."""
        return outs[0].size * ins[0].shape[1]

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Ragged rows, outputs, columns and groups, a bias and none, the largest codes and steps."""
        return (
            _example(8, 3, 37, 21, True),
            _example(32, 2, 16, 76, False),
            _example(16, 1, 5, 3, False),
            _example(16, 7, 18, 41, True),
            _example(16, 2, 3, 7, False),
        )


def _example(group: int, m: int, n: int, k: int, bias: bool) -> Example:
    """Random weights, of which some rows are of one sign, or zero."""
    rng = np.random.default_rng(k)
    weights = rng.standard_normal((n, k)).astype(np.float32)
    weights[0], weights[1], weights[2] = np.abs(weights[0]), 0, np.where(np.arange(k) % 2, 1, -1)
    made = progressive.quantized(weights, group)
    q = rng.integers(-128, 128, (m, k)).astype(np.int8)
    q[0] = np.where(np.arange(k) % 2, 127, -128)
    s, b = rng.random(m, np.float32), rng.standard_normal(n).astype(np.float32)
    args = (q, s, made.q, made.step, made.zero, made.by, *((b,) if bias else ()))
    kinds = {np.dtype(d.numpy): d for d in (F32, S8, U8)}
    types = tuple(TensorType(a.shape, kinds[a.dtype]) for a in args)
    return Example(LinearGroups(group), types, args, tuple(range(2, len(args))))
