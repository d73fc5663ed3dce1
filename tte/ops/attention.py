"""Causal attention over a cache. Floor 3."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tte import chunk, floatmath
from tte.op import Arrays, Cut, Example, Kernel, Op, Params, Types
from tte.types import Array, DType, TensorType

F32, S32 = DType.F32, DType.S32


@dataclass(frozen=True, slots=True)
class Attention(Op):
    """For each row and head: y = sum of e * v / sum of e, e = exp(a - max of a), a = (q . k) * (1 / sqrt(hd)).

    q, y: [n, heads * hd]; k, v: caches [s, kv_heads * hd], of which row i sees positions 0..start + i; heads / kv_heads
    neighbouring heads share one of theirs. Sums are in order, of positions from 0 on; a row depends on nothing else.
    span is (start, count), see tte/chunk.py.
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
            scratch=lambda ins, outs, params: 4 * ins[1].shape[0],
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
        return (
            *chunk.examples(cls(4, 2), *fours, spans=((0, 3), (6, 3), (10, 3))),
            *chunk.examples(cls(1, 1), *(TensorType((6, 28), F32),) * 3, spans=((0, 6),)),
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
