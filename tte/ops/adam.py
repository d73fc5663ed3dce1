"""Adam. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import stepping
from tte.op import Arrays, Example, Kernel, Op, Params, Slices, Types
from tte.types import DType, TensorType

F32, S32 = DType.F32, DType.S32


@dataclass(frozen=True, slots=True)
class Adam(Op):
    """m' = beta1 * m + (1 - beta1) * g; v' = beta2 * v + (1 - beta2) * g**2; the third result is the direction.

    direction = m' / (1 - beta1**t) / (sqrt(v' / (1 - beta2**t)) + eps), t being the number of updates, this one
    included. There is one in each step number `every`, when gradients have been accumulated; in between m and v stay
    and the direction is zero. Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    every: int = 1

    operands = ("m", "v", "g", "clock")
    kernels = (
        Kernel(
            "tte_adam_f32",
            "adam.h",
            (F32, F32, F32, S32),
            (F32, F32, F32),
            form="channels",
            inplace=((0, 0), (1, 1), (2, 2)),
            per_out=8.0,
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """m', v' and the direction."""
        m, v, g, clock = types
        stepping.check(self.label(), m, m, v, g, clock=clock)
        self.expect(0 <= self.beta1 < 1 and 0 <= self.beta2 < 1, f"{self}: beta1 and beta2 must be in [0, 1)")
        self.expect(self.eps >= 1e-30 and self.every >= 1, f"{self}: eps and every must be positive")
        return m, m, m

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """In this order; the corrections are multiplied by, and powers come by repeated squaring."""
        m, v, g, clock = args
        if not stepping.due(clock, self.every):
            return m, v, np.zeros_like(m)
        kind = m.dtype.type
        beta1, beta2, one = kind(self.beta1), kind(self.beta2), kind(1)
        t = int(clock[0]) % 2**32 // self.every + 1
        m = beta1 * m + (one - beta1) * g
        v = beta2 * v + (one - beta2) * g * g
        up1, up2 = (one / (one - stepping.power(b, t)) for b in (beta1, beta2))
        return m, v, m * up1 / (np.sqrt(v * up2) + kind(self.eps))

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Channels of axis 0."""
        return stepping.rows(ins, outs, whole=1)

    def params(self, ins: Types, outs: Types) -> Params:
        """The number of elements, and the fields."""
        return {
            "size": ins[0].size,
            "beta1": self.beta1,
            "beta2": self.beta2,
            "eps": self.eps,
            "every": self.every,
        }

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """The first step, a late one, one between updates; no gradient and a large one."""
        x = TensorType((3, 2, 1, 5), F32)

        def at(op: Adam, step: int) -> Example:
            e = Example.random(op, x, x, x, stepping.CLOCK)
            np.abs(e.args[1], out=e.args[1])
            for a in e.args[:3]:
                a[0, 0] = 0
            e.args[2][1, 1] *= 1e8
            e.args[3][0] = step
            return e

        return (at(cls(), 0), at(cls(), 123456), at(cls(0.5, 0.9, 1e-3, 3), 4), at(cls(0.5, 0.9, 1e-3, 3), 5))
