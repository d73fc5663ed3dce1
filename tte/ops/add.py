"""Sum of two tensors. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

from tte.op import Arrays, Example, Kernel, Op, Types
from tte.types import DType, TensorType

F32 = DType.F32
EITHER = ((0, 0), (1, 0))


@dataclass(frozen=True, slots=True)
class Add(Op):
    """y = a + b, of one shape."""

    operands = ("a", "b")
    kernels = (Kernel("tte_add_f32", "add.h", (F32, F32), (F32,), form="flat", inplace=EITHER),)

    def infer(self, *types: TensorType) -> Types:
        """a and b have one shape."""
        a, b = types
        self.expect((a.shape, a.dtype) == (b.shape, b.dtype), f"{a} does not match {b}")
        return (a,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Element by element."""
        a, b = args
        return (a + b,)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Floats."""
        f = TensorType((2, 9), F32)
        return (Example.random(cls(), f, f),)
