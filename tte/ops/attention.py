"""Causal attention over a cache, in floats or in few bits. Floor 3."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tte.arith import codes, floatmath
from tte.op import Arrays, Cut, Example, Kernel, Op, Params, Types
from tte.shapes import chunk
from tte.types import Array, DType, TensorType

F32, S8, U8, S32 = DType.F32, DType.S8, DType.U8, DType.S32
ROWS = 8  # that the vector kernel computes at a time


@dataclass(frozen=True, slots=True)
class Attention(Op):
    """For each row and head: y = sum of e * v / sum of e, e = exp(a - max of a), a = (q . k) * (1 / sqrt(hd)).

    q, y: [n, heads * hd]; k, v: caches [s, kv_heads * hd], of which row i sees positions 0..start + i; heads / kv_heads
    neighbouring heads share one of theirs. Sums are in order, of positions from 0 on; a row depends on nothing else.
    span is (start, count), see tte/shapes/chunk.py.
    """

    heads: int
    kv_heads: int

    operands = ("q", "k", "v", "span")
    kernels = (
        Kernel(
            "tte_attention_f32",
            "attention.h",
            (F32, F32, F32, S32),
            (F32,),
            inplace=((0, 0),),
            scratch=lambda ins, outs, params: 4 * ins[1].shape[0],
            per_mac=6.0,
        ),
        Kernel(
            "tte_attention_f32_simd",
            "attention_simd.h",
            (F32, F32, F32, S32),
            (F32,),
            isa="simd",
            inplace=((0, 0),),
            when=lambda ins, outs, params: params["depth"] % 4 == 0,
            needs="heads of a multiple of four",
            scratch=lambda ins, outs, params: 4 * ins[1].shape[0] * (ROWS if ins[0].shape[0] >= ROWS else 1),
            per_mac=2.0,
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """y is of the type of q."""
        q, k, v, span = types
        chunk.check(self.label(), span, q, k, v)
        self.expect(len(q.shape) == len(k.shape) == 2, f"{q} and {k} must be matrices")
        self.expect(k == v, f"keys {k} and values {v} differ")
        self.expect(min(self.heads, self.kv_heads) > 0, f"{self} has no heads")
        self.expect(self.heads % self.kv_heads == 0, f"{self.heads} heads do not share {self.kv_heads} evenly")
        self.expect(q.shape[1] % self.heads == 0, f"{q} has not {self.heads} heads")
        wanted = self.kv_heads * (q.shape[1] // self.heads)
        self.expect(k.shape[1] == wanted, f"keys and values must have {wanted} columns, not {k}")
        return (q,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact. Positions that a row doesn't see add 0 to its sums, which changes no bit."""
        (q, k, v, span), (n, s) = args, (args[0].shape[0], args[1].shape[0])
        hd, last = self._depth(ins[0]), chunk.positions(span, n, s)
        s = int(last.max()) + 1
        queries = q.reshape(n, self.heads, hd)
        keys, values = (c[:s].reshape(s, self.kv_heads, hd).repeat(self.heads // self.kv_heads, axis=1) for c in (k, v))
        a = np.zeros((n, self.heads, s), q.dtype)
        for j in range(hd):
            a += queries[:, :, None, j] * keys[:, :, j].T
        unseen = np.arange(s) > last[:, None, None]
        a = np.where(unseen, -np.inf, a * q.dtype.type(self._scale(hd))).astype(q.dtype)
        e = floatmath.exp(a - a.max(-1, keepdims=True))
        return ((_weighted(e, values, unseen) / floatmath.total(e)).reshape(q.shape),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Rows, positions, heads of keys and of queries for one, elements of a head and a position, scores' factor."""
        (q, k), hd = ins[:2], self._depth(ins[0])
        sizes: Params = {"n": q.shape[0], "s": k.shape[0], "kv_heads": self.kv_heads}
        sizes |= {"group": self.heads // self.kv_heads, "depth": hd, "width": k.shape[1], "row": 0}
        return sizes | {"scale": self._scale(hd)}

    def cut(self, ins: Types, outs: Types) -> Cut:
        """By rows; one row by the heads of keys."""
        hd, group = self._depth(ins[0]), self.heads // self.kv_heads
        if ins[0].shape[0] > 1:
            return Cut("n", {"q": ins[0].shape[1], "y": ins[0].shape[1]}, first="row")
        return Cut("kv_heads", {"q": hd * group, "k": hd, "v": hd, "y": hd * group})

    def macs(self, ins: Types, outs: Types) -> int:
        """Of scores and of weighted sums, every position being seen."""
        return 2 * ins[0].size * ins[1].shape[0]

    def _depth(self, q: TensorType) -> int:
        return q.shape[1] // self.heads

    @staticmethod
    def _scale(hd: int) -> float:
        return float(np.float32(1 / math.sqrt(hd)))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Shared keys and own ones, odd depths; from the beginning, the middle, past both ends; far apart scores."""
        q, k = TensorType((3, 20), F32), TensorType((9, 10), F32)
        one = TensorType((1, 3), F32), TensorType((5, 3), F32), TensorType((5, 3), F32)
        steep = chunk.examples(cls(2, 2), q, *(TensorType((4, 20), F32),) * 2, spans=((1, 3),))
        steep[0].args[0][:] *= 100
        fours = TensorType((3, 32), F32), *(TensorType((13, 16), F32),) * 2
        many = TensorType((19, 8), F32), *(TensorType((23, 4), F32),) * 2
        return (
            *chunk.examples(cls(4, 2), *fours, spans=((0, 3), (6, 3), (10, 3))),
            *chunk.examples(cls(1, 1), *(TensorType((6, 28), F32),) * 3, spans=((0, 6),)),
            *chunk.examples(cls(2, 1), *many, spans=((0, 19), (7, 9))),
            *chunk.examples(cls(4, 2), q, k, k, spans=((0, 3), (4, 2), (8, 3), (-2, 0), (2**31 - 1, 3))),
            *chunk.examples(cls(4, 4), *(TensorType((2, 12), F32),) * 3, spans=((0, 2),)),
            *chunk.examples(cls(1, 1), *one, spans=((0, 1), (4, 1))),
            *steep,
        )


def _weighted(e: Array, values: Array, unseen: Array) -> Array:
    """Sums over positions of e[n,heads,s] * values[s,heads,hd], in order: [n,heads,hd]."""
    y = np.zeros((*e.shape[:2], values.shape[2]), e.dtype)
    for p in range(e.shape[2]):
        y += np.where(unseen[:, :, p, None], 0, e[:, :, p, None] * values[p]).astype(e.dtype)
    return y


def _scratch(rows: int) -> Callable[[Types, Types, Params], int]:
    """Scores of as many rows at a time, keys and values of a head as reals."""

    def found(ins: Types, outs: Types, params: Params) -> int:
        return 4 * ins[1].shape[0] * (2 * int(params["depth"]) + (rows if ins[0].shape[0] >= rows else 1))

    return found


def _kernel(name: str, values: DType, isa: str = "") -> Kernel:
    return Kernel(
        f"tte_attention_codes_{name}" + (f"_{isa}" if isa else ""),
        "attention_codes_simd.h" if isa else "attention_codes.h",
        (F32, S8, F32, values, F32, S32),
        (F32,),
        isa=isa,
        inplace=((0, 0),),
        when=lambda ins, outs, params: not isa or int(params["depth"]) % 4 == 0,
        needs="heads of a multiple of four",
        scratch=_scratch(ROWS if isa else 1),
        per_mac=2.0 if isa else 6.0,
        params="tte_attention_f32",
    )


@dataclass(frozen=True, slots=True)
class AttentionCodes(Op):
    """Attention over keys in 8 bits and values in 8 (s8) or 4 (u8), each with scales (tte/arith/codes.py)."""

    heads: int
    kv_heads: int

    operands = ("q", "k", "k_scales", "v", "v_scales", "span")
    kernels = (_kernel("s8", S8), _kernel("u4", U8), _kernel("s8", S8, "simd"), _kernel("u4", U8, "simd"))

    def infer(self, *types: TensorType) -> Types:
        """y is of the type of q."""
        q, k, k_scales, v, v_scales, span = types
        chunk.check(self.label(), span, q, k_scales, v_scales)
        (y,) = self._floats.results(q, reals := TensorType(k.shape, F32), reals, span)
        bits = 8 if v.dtype is S8 else 4
        self.expect(bits == 8 or (k.shape[1] // self.kv_heads) % 2 == 0, "heads of 4 bits must have an even depth")
        rows, width = k.shape
        wanted = *codes.types(rows, width, self.kv_heads, 8), *codes.types(rows, width, self.kv_heads, bits)
        self.expect((k, k_scales, v, v_scales) == wanted, f"keys and values must be {', '.join(map(str, wanted))}")
        return (y,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        q, k, k_scales, v, v_scales, span = args
        keys, values = (codes.reals(*one, self.kv_heads) for one in ((k, k_scales), (v, v_scales)))
        reals = TensorType(keys.shape, F32)
        return self._floats.reference((q, keys, values, span), (ins[0], reals, reals, ins[5]), outs)

    def params(self, ins: Types, outs: Types) -> Params:
        """Those of Attention."""
        return self._floats.params(ins, outs)

    def cut(self, ins: Types, outs: Types) -> Cut:
        """Those of Attention."""
        cut, bits = self._floats.cut(ins, outs), 8 if ins[3].dtype is S8 else 4
        if cut.count == "n":
            return cut
        scales = {"k_scales": 1, "v_scales": 1 if bits == 8 else 2}
        return replace(cut, each={**cut.each, **scales, "v": cut.each["v"] * bits // 8})

    def macs(self, ins: Types, outs: Types) -> int:
        """Those of Attention."""
        return self._floats.macs(ins, outs)

    @property
    def _floats(self) -> Attention:
        return Attention(self.heads, self.kv_heads)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Shared keys and own ones, odd depths; from the beginning, the middle, past both ends; many rows."""
        return (
            *_examples(cls(4, 2), 3, 9, 5, 8, ((0, 3), (4, 2), (-2, 0))),
            *_examples(cls(4, 2), 3, 13, 6, 4, ((0, 3), (6, 3), (12, 3))),
            *_examples(cls(2, 1), 19, 23, 4, 8, ((0, 19), (7, 9))),
            *_examples(cls(2, 1), 10, 23, 4, 4, ((0, 10), (13, 9))),
            *_examples(cls(2, 2), 1, 5, 8, 4, ((0, 1), (4, 1))),
        )


def _examples(
    op: AttentionCodes, n: int, s: int, depth: int, bits: int, spans: tuple[tuple[int, int], ...]
) -> tuple[Example, ...]:
    """n rows over s positions."""
    keys, values = (codes.types(s, op.kv_heads * depth, op.kv_heads, b) for b in (8, bits))
    found = chunk.examples(op, TensorType((n, op.heads * depth), F32), *keys, *values, spans=spans)
    for i in (2, 4):
        found[0].args[i][:] *= 0.02
    return found
