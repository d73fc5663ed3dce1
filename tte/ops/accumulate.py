"""Sums of gradients over several steps. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import stepping
from tte.op import Arrays, Example, Kernel, Op, Params, Slices, Types
from tte.types import DType, TensorType

F32, S32 = DType.F32, DType.S32


@dataclass(frozen=True, slots=True)
class Accumulate(Op):
    """acc' = acc + g, and no direction: zeros; in each step number `every` the direction is the mean, and acc' = 0."""

    every: int

    operands = ("acc", "g", "clock")
    kernels = (
        Kernel(
            "tte_accumulate_f32",
            "accumulate.h",
            (F32, F32, S32),
            (F32, F32),
            form="channels",
            inplace=((0, 0), (1, 1)),
            per_out=3.5,
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """acc' and the direction."""
        acc, g, clock = types
        stepping.check(self.label(), acc, acc, g, clock=clock)
        self.expect(self.every >= 1, f"every {self.every} is not positive")
        return acc, acc

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """The sum is multiplied by 1 / every."""
        acc, g, clock = args
        total = acc + g
        if not stepping.due(clock, self.every):
            return total, np.zeros_like(total)
        return np.zeros_like(total), total * total.dtype.type(1 / self.every)

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Channels of axis 0."""
        return stepping.rows(ins, outs, whole=1)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of elements, and of steps."""
        return {"size": ins[0].size, "every": self.every, "share": 1 / self.every}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Between updates and in one."""
        x = TensorType((3, 2, 1, 5), F32)

        def at(step: int) -> Example:
            e = Example.random(cls(3), x, x, stepping.CLOCK)
            e.args[2][0] = step
            return e

        return at(0), at(1), at(2)
