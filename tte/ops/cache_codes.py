"""New rows of a key or value cache in few bits. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import codes
from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.shapes import chunk
from tte.types import DType, TensorType

F32, S8, U8, S32 = DType.F32, DType.S8, DType.U8, DType.S32


@dataclass(frozen=True, slots=True)
class CacheCodes(Op):
    """The cache's codes and scales, but row start + i is row i of x[n, heads * hd] (tte/arith/codes.py), for i < count.

    s8 codes are of 8 bits, u8 ones of 4. Rows outside of the cache are dropped. span is (start, count), see
    tte/shapes/chunk.py. Where the results are the new values of the states that came in, only those rows are written.
    """

    heads: int

    operands = ("codes", "scales", "x", "span")
    kernels = tuple(
        Kernel(
            f"tte_cache_codes_{name}",
            "cache_codes.h",
            (dtype, F32, F32, S32),
            (dtype, F32),
            inplace=((0, 0), (1, 1)),
            per_out=1.0,
            params="tte_cache_codes_s8",
        )
        for name, dtype in (("s8", S8), ("u4", U8))
    )

    def infer(self, *types: TensorType) -> Types:
        """Results are of the types of codes and scales."""
        cache, scales, x, span = types
        chunk.check(self.label(), span, scales, x)
        self.expect(len(x.shape) == 2 and self.heads > 0, f"{x} must be a matrix, of some heads")
        self.expect(cache.dtype in (S8, U8), f"{cache} are no codes")
        bits = 8 if cache.dtype is S8 else 4
        self.expect(x.shape[1] % (self.heads * (1 if bits == 8 else 2)) == 0, f"{x} has not {self.heads} whole heads")
        wanted = codes.types(cache.shape[0], x.shape[1], self.heads, bits)
        self.expect((cache, scales) == wanted, f"{cache} and {scales} must be {wanted[0]} and {wanted[1]}")
        return cache, scales

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        cache, scales, x, span = args
        start, count = map(int, span)
        first, last = max(0, -start), min(count, x.shape[0], cache.shape[0] - start)
        y, t = cache.copy(), scales.copy()
        if first < last:
            here = slice(start + first, start + last)
            y[here], t[here] = codes.coded(x[first:last], self.heads, 8 if cache.dtype == np.int8 else 4)
        return y, t

    def params(self, ins: Types, outs: Types) -> Params:
        """Rows of x and of the cache, heads, elements of one."""
        x = ins[2]
        return {"n": x.shape[0], "s": ins[0].shape[0], "heads": self.heads, "depth": x.shape[1] // self.heads}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """All rows, some, none; over both ends; heads of zeros, of one number, of tiny and of huge ones."""
        far = 2**31 - 1
        spans = (0, 4), (2, 3), (6, 1), (5, 4), (3, 0), (-2, 4), (far, far), (-far - 1, far)
        found: list[Example] = []
        for bits in (8, 4):
            types = *codes.types(7, 12, 2, bits), TensorType((4, 12), F32)
            some = chunk.examples(cls(2), *types, spans=spans)
            x = some[0].args[2]
            x[0, :6], x[1, :6], x[1, 6:] = 0, 3, x[1, 6:] * np.float32(1e-36)
            x[2] *= np.float32(1e36)
            x[3] = np.arange(12) * 12.7 / np.float32(1.1)
            found += some
        return tuple(found)
