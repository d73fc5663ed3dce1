"""The gradient of an operand that was repeated, or multiplied. Floor 2."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.types import Array, DType, Quant, TensorType

F32, S8 = DType.F32, DType.S8
RANK = 4


@dataclass(frozen=True, slots=True)
class BroadcastGrad(Op):
    """y[shape] = factor * sum of g * by over the axes along which an operand of `shape` was repeated to that of g.

    `by` is repeated to the shape of g; integers stand for their reals; where it is absent it is 1.
    """

    shape: tuple[int, ...]
    factor: float = 1.0

    operands = ("g", "by")
    optional = 1
    kernels = (
        Kernel(
            "tte_broadcast_grad_f32",
            "broadcast_grad.h",
            (F32, F32),
            (F32,),
            params="tte_broadcast_grad",
            optional=1,
            takes=("by", "y"),
        ),
        Kernel("tte_broadcast_grad_s8", "broadcast_grad.h", (F32, S8), (F32,), params="tte_broadcast_grad"),
    )

    def infer(self, *types: TensorType) -> Types:
        """g gives y[shape]."""
        g = types[0]
        self.expect(g.dtype is F32 and len(g.shape) <= RANK, f"g must be f32 of at most {RANK} axes, not {g}")
        for shape in (self.shape, *(t.shape for t in types[1:])):
            pairs = zip(reversed(shape), reversed(g.shape), strict=False)
            self.expect(
                len(shape) <= len(g.shape) and all(n in (1, m) for n, m in pairs), f"{shape} does not repeat to {g}"
            )
        scaled = all(t.dtype is F32 or (t.quant is not None and t.quant.axis is None) for t in types[1:])
        self.expect(scaled, "by needs one scale")
        return (TensorType(self.shape, F32),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: added in the order in which g lies in memory."""
        g = args[0]
        if len(args) == 2:
            by = args[1]
            if ins[1].dtype is S8:
                q = ins[1].scaling
                by = (by.astype(np.int32) - q.zero).astype(g.dtype) * g.dtype.type(q.scale[0])
            g = g * by
        y: Array = np.zeros((1,) * (g.ndim - len(self.shape)) + self.shape, g.dtype)
        repeated = [n if n != y.shape[k] else 1 for k, n in enumerate(g.shape)]
        for at in np.ndindex(*repeated):
            y = y + g[tuple(slice(i, i + 1) if n > 1 else slice(None) for i, n in zip(at, repeated, strict=True))]
        return ((y * g.dtype.type(self.factor)).reshape(self.shape),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Extents of g, strides of y and of by (0 where repeated), the factor, and what by's integers stand for."""
        g, by = ins[0], ins[1] if len(ins) == 2 else TensorType((), F32)
        sizes: Params = {f"n{k}": n for k, n in enumerate((1,) * (RANK - len(g.shape)) + g.shape)}
        for name, shape in ("y", outs[0].shape), ("b", by.shape):
            full = (1,) * (RANK - len(shape)) + shape
            sizes |= {f"{name}{k}": math.prod(full[k + 1 :]) * (n > 1) for k, n in enumerate(full)}
        quant = by.quant or Quant((1.0,))
        return sizes | {"size": outs[0].size, "factor": float(self.factor), "scale": quant.scale[0], "zero": quant.zero}

    def macs(self, ins: Types, outs: Types) -> int:
        """Products."""
        return ins[0].size

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Nothing repeated, rows and columns, leading axes, a factor alone for all; integers that are repeated."""
        g, q = TensorType((2, 3, 4, 5), F32), Quant((0.05,), -7)
        return (
            Example.random(cls((2, 3, 4, 5), -1.0), g),
            Example.random(cls((2, 1, 1, 5)), g, TensorType((2, 3, 4, 5), F32)),
            Example.random(cls((4, 1)), g),
            Example.random(cls((1,), 0.5), TensorType((2, 9), F32), TensorType((9,), F32)),
            Example.random(cls((2, 3, 4, 5)), g, TensorType((3, 1, 5), S8, q)),
        )
