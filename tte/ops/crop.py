"""A part of a tensor. Floor 2."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.types import DType, TensorType

F32 = DType.F32
RANK = 4


@dataclass(frozen=True, slots=True)
class Crop(Op):
    """y[shape] = the elements of x from index `begin[k]` on, along each axis k: the gradient of what was padded."""

    begin: tuple[int, ...]
    shape: tuple[int, ...]

    kernels = (Kernel("tte_crop_f32", "crop.h", (F32,), (F32,), per_out=6.0),)

    def infer(self, *types: TensorType) -> Types:
        """x of at most four axes gives y[shape]."""
        (x,) = types
        self.expect(len(self.begin) == len(self.shape) == len(x.shape) <= RANK, f"{x} is not cut by {self}")
        inside = (0 <= b <= b + n <= m for b, n, m in zip(self.begin, self.shape, x.shape, strict=True))
        self.expect(all(inside), f"{self} leaves {x}")
        return (TensorType(self.shape, x.dtype, x.quant),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Elements stay as they are."""
        return (args[0][tuple(slice(b, b + n) for b, n in zip(self.begin, self.shape, strict=True))],)

    def params(self, ins: Types, outs: Types) -> Params:
        """Extents of y, strides of x, and where the first element lies."""
        blank = RANK - len(self.shape)
        strides = [math.prod(ins[0].shape[k + 1 :]) for k in range(len(self.shape))]
        sizes: Params = {f"n{k}": n for k, n in enumerate((1,) * blank + self.shape)}
        sizes |= {f"s{k}": s for k, s in enumerate([0] * blank + strides)}
        return sizes | {"first": sum(b * s for b, s in zip(self.begin, strides, strict=True))}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """A border off every side, the end of a vector."""
        return (
            Example.random(cls((0, 1, 2, 0), (1, 3, 2, 2)), TensorType((1, 5, 4, 3), F32)),
            Example.random(cls((3,), (4,)), TensorType((7,), F32)),
        )
