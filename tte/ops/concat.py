"""Tensors one behind the other. Floor 3."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Types, Values
from tte.ops.crop import Crop
from tte.types import DType, Quant, TensorType, Value

F32, S8 = DType.F32, DType.S8


def by_rows(ins: Types, outs: Types, params: Params) -> bool:
    """Maps, joined along a row or along channels."""
    return len(outs[0].shape) == 4 and int(params["outer"]) > 1


@dataclass(frozen=True, slots=True)
class Concat(Op):
    """y is all inputs one behind the other along `axis`; in s8 they share one scale (importers requantise)."""

    axis: int

    variadic = True
    kernels = (
        Kernel("tte_concat_s8", "concat.h", (S8,), (S8,), form="flat", when=by_rows, needs="rows", per_out=4.0),
        Kernel("tte_concat_s8", "concat.h", (S8,), (S8,), per_out=4.0),
        Kernel("tte_concat_f32", "concat.h", (F32,), (F32,), per_out=4.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """x[..., n0, ...], x1[..., n1, ...], ... give y[..., n0 + n1 + ..., ...]."""
        first = types[0]
        self.expect(0 <= self.axis < len(first.shape), f"{first} has no axis {self.axis}")

        def rest(t: TensorType) -> tuple[object, ...]:
            return t.shape[: self.axis], t.shape[self.axis + 1 :], t.dtype, t.quant

        for t in types:
            self.expect(rest(t) == rest(first), f"{t} does not match {first}")
        self.expect(first.quant is None or first.quant.axis is None, f"{first} has a scale per channel")
        extent = sum(t.shape[self.axis] for t in types)
        shape = (*first.shape[: self.axis], extent, *first.shape[self.axis + 1 :])
        return (TensorType(shape, first.dtype, first.quant),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """numpy's concatenate."""
        return (np.concatenate(args, self.axis),)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """Each input's part."""
        if grads[0] is None:
            return (None,) * len(ins)
        parts: list[Value] = []
        at = 0
        for shape in (v.type.shape for v in ins):
            begin = tuple(at if k == self.axis else 0 for k in range(len(shape)))
            parts += graph.emit(Crop(begin, shape), grads[0])
            at += shape[self.axis]
        return tuple(parts)

    def params(self, ins: Types, outs: Types) -> Params:
        """The extent before the axis, and for each input the elements from the axis on."""
        inner = np.array([math.prod(t.shape[self.axis :]) for t in ins], np.int32)
        return {"count": len(ins), "outer": math.prod(ins[0].shape[: self.axis]), "inner": inner}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Three along channels, two along rows, one alone."""
        q = Quant((0.1,), 5)
        maps = tuple(TensorType((1, 3, 2, c), S8, q) for c in (3, 1, 5))
        return (
            Example.random(cls(3), *maps),
            Example.random(cls(0), TensorType((2, 3), F32), TensorType((1, 3), F32)),
            Example.random(cls(1), maps[0]),
        )
