"""Momentum. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import stepping
from tte.op import Arrays, Example, Kernel, Op, Params, Slices, Types
from tte.types import DType, TensorType

F32, S32 = DType.F32, DType.S32


@dataclass(frozen=True, slots=True)
class Momentum(Op):
    """m' = beta * m + g, the direction to go.

    With a clock only in each step number `every`, when gradients have been accumulated; then there is a second result,
    the direction, which is zero in between.
    """

    beta: float = 0.9
    every: int = 1

    operands = ("m", "g", "clock")
    optional = 1
    kernels = (
        Kernel(
            "tte_momentum_f32", "momentum.h", (F32, F32), (F32,), form="channels", inplace=((0, 0), (1, 0)), per_out=7.0
        ),
        Kernel(
            "tte_momentum_every_f32",
            "momentum.h",
            (F32, F32, S32),
            (F32, F32),
            form="channels",
            inplace=((0, 0), (1, 1)),
            per_out=2.5,
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """One result, or two with a clock."""
        m, g, *clock = types
        stepping.check(self.label(), m, m, g, clock=clock[0] if clock else stepping.CLOCK)
        self.expect(0 <= self.beta < 1, f"beta {self.beta:g} is not in [0, 1)")
        self.expect(self.every >= 1 and (self.every == 1 or bool(clock)), f"every {self.every} needs a clock")
        return (m, m) if clock else (m,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """In this order."""
        m, g, *clock = args
        if clock and not stepping.due(clock[0], self.every):
            return m, np.zeros_like(m)
        moved = (m.dtype.type(self.beta) * m + g).astype(m.dtype)
        return (moved, moved) if clock else (moved,)

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Channels of axis 0."""
        return stepping.rows(ins, outs, whole=len(ins) - 2)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of elements, and the fields."""
        known: Params = {"size": ins[0].size, "beta": self.beta}
        return known | {"every": self.every} if len(ins) > 2 else known

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """With a clock when it is due, and when not."""
        x = TensorType((3, 2, 1, 5), F32)

        def at(step: int) -> Example:
            e = Example.random(cls(0.7, 4), x, x, stepping.CLOCK)
            e.args[2][0] = step
            return e

        return (Example.random(cls(), x, x), at(0), at(2), at(3))
