"""New rows of a key or value cache. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.shapes import chunk
from tte.types import DType, TensorType

F32, S32 = DType.F32, DType.S32


@dataclass(frozen=True, slots=True)
class CacheRows(Op):
    """y = cache[s,d], but row start + i is row i of x[n,d], for i < count; rows outside of the cache are dropped.

    span is (start, count), see tte/shapes/chunk.py. Where y is the new value of the state that `cache` is, only those
    rows are written.
    """

    operands = ("cache", "x", "span")
    kernels = (Kernel("tte_cache_rows_f32", "cache_rows.h", (F32, F32, S32), (F32,), inplace=((0, 0),), per_out=1.0),)

    def infer(self, *types: TensorType) -> Types:
        """y is of the type of the cache."""
        cache, x, span = types
        chunk.check(self.label(), span, cache, x)
        self.expect(len(cache.shape) == len(x.shape) == 2, f"{cache} and {x} must be matrices")
        self.expect(cache.shape[1] == x.shape[1], f"{cache} has other rows than {x}")
        return (cache,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Elements stay as they are."""
        cache, x, span = args
        start, count = map(int, span)
        first, last = max(0, -start), min(count, x.shape[0], cache.shape[0] - start)
        y = cache.copy()
        if first < last:
            y[start + first : start + last] = x[first:last]
        return (y,)

    def params(self, ins: Types, outs: Types) -> Params:
        """Rows of x and of the cache, and their elements."""
        cache, x, _ = ins
        return {"n": x.shape[0], "s": cache.shape[0], "d": x.shape[1]}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """All rows, some, none; over both ends; more rows than there is room for."""
        cache, x = TensorType((7, 3), F32), TensorType((4, 3), F32)
        far = 2**31 - 1
        spans = (0, 4), (2, 3), (6, 1), (5, 4), (3, 0), (1, -1), (2, far), (-2, 4), (far, far), (-far - 1, far)
        return (
            *chunk.examples(cls(), cache, x, spans=spans),
            *chunk.examples(cls(), TensorType((2, 3), F32), x, spans=((0, 4),)),
        )
