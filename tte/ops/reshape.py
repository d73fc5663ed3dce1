"""The same bytes under another shape. Floor 3."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tte.op import Arrays, Example, Grows, Kernel, Op, Types, Values
from tte.types import DType, TensorType, Value


@dataclass(frozen=True, slots=True)
class Reshape(Op):
    """y has the elements of x in the same order, in `shape`. A view: it costs nothing."""

    shape: tuple[int, ...]

    view = True
    kernels = (
        Kernel("tte_copy_s8", "copy.h", (DType.S8,), (DType.S8,), form="flat", inplace=((0, 0),), per_out=4.0),
        Kernel("tte_copy_f32", "copy.h", (DType.F32,), (DType.F32,), form="flat", inplace=((0, 0),), per_out=4.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """x gives y[shape], with the same number of elements; a scale per channel cannot be kept."""
        (x,) = types
        self.expect(math.prod(self.shape) == x.size, f"{x} cannot become {list(self.shape)}")
        self.expect(x.quant is None or x.quant.axis is None, f"{x} has a scale per channel")
        return (TensorType(self.shape, x.dtype, x.quant),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Elements stay where they are."""
        return (args[0].reshape(self.shape),)

    def vjp(self, graph: Grows, grads: tuple[Value | None, ...], ins: Values, outs: Values) -> tuple[Value | None, ...]:
        """In the shape of x."""
        return graph.emit(Reshape(ins[0].type.shape), grads[0]) if grads[0] else (None,)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Both element types."""
        return tuple(Example.random(cls((6, 2)), TensorType((1, 3, 4), d)) for d in (DType.F32, DType.S8))
