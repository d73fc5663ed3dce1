"""Axes in another order. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values
from tte.types import Array, DType, Quant, TensorType, Value

F32, S8 = DType.F32, DType.S8
RANK = 4


@dataclass(frozen=True, slots=True)
class Transpose(Op):
    """y[i_perm[0], i_perm[1], ...] = x[i_0, i_1, ...]: axis k of y is axis perm[k] of x."""

    perm: tuple[int, ...]

    kernels = (
        Kernel("tte_transpose_s8", "transpose.h", (S8,), (S8,), per_out=12.0),
        Kernel("tte_transpose_f32", "transpose.h", (F32,), (F32,), per_out=12.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """x gives y with its axes in the order of perm; a scale per index goes with its axis."""
        (x,) = types
        self.expect(sorted(self.perm) == list(range(len(x.shape))), f"{self.perm} is not an order of the axes of {x}")
        q = x.quant
        if q is not None and q.axis is not None:
            q = Quant(q.scale, q.zero, self.perm.index(q.axis))
        return (TensorType(tuple(x.shape[k] for k in self.perm), x.dtype, q),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """numpy's transpose."""
        return (args[0].transpose(self.perm),)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """In the order of x."""
        return graph.emit(Transpose(invert(self.perm)), grads[0]) if grads[0] else (None,)

    def params(self, ins: Types, outs: Types) -> Params:
        """Extents of y and the stride of each of its axes in x, merged to four: axes that stay together are one."""
        extents, strides = self._merged(ins[0].shape)
        self.expect(len(extents) <= RANK, f"{self.perm} moves more than {RANK} groups of axes")
        blank = RANK - len(extents)
        sizes: Params = {f"n{k}": n for k, n in enumerate((1,) * blank + extents)}
        return sizes | {f"s{k}": s for k, s in enumerate((0,) * blank + strides)}

    def _merged(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Extents and strides, without axes of one element, neighbours in both x and y made one."""
        size = [int(np.prod(shape[k + 1 :])) for k in range(len(shape))]
        axes: list[tuple[int, int]] = []
        for k in self.perm:
            n, s = shape[k], size[k]
            if n != 1 and axes and axes[-1][1] == n * s:
                axes[-1] = (axes[-1][0] * n, s)
            elif n != 1:
                axes.append((n, s))
        return tuple(n for n, _ in axes), tuple(s for _, s in axes)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """To and from channels-last, a matrix, five axes of which two merge, nothing to do."""

        def make(perm: tuple[int, ...], shape: tuple[int, ...], dtype: DType) -> Example:
            return Example.random(cls(perm), TensorType(shape, dtype, Quant((0.1,), 3) if dtype is S8 else None))

        return (
            make((0, 3, 1, 2), (1, 4, 5, 3), S8),
            make((0, 2, 3, 1), (1, 3, 4, 5), F32),
            make((1, 0), (7, 3), S8),
            make((4, 2, 3, 1, 0), (2, 3, 2, 2, 3), F32),
            make((0, 1, 2), (1, 2, 3), S8),
        )


def invert(perm: tuple[int, ...]) -> tuple[int, ...]:
    """The order that undoes `perm`."""
    order: Array = np.argsort(perm)
    return tuple(int(k) for k in order)
