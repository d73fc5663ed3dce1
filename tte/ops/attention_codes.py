"""Causal attention over a cache in few bits. Floor 3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tte import chunk, codes
from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.ops.attention import ROWS, Attention
from tte.types import DType, TensorType

F32, S8, U8, S32 = DType.F32, DType.S8, DType.U8, DType.S32


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
    """Attention over the reals of keys in 8 bits and of values in 8 (s8) or 4 (u8), each with scales (tte/codes.py)."""

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
        wanted = *codes.types(*k.shape, self.kv_heads, 8), *codes.types(*k.shape, self.kv_heads, bits)
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
