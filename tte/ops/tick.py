"""The clock of training. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith.stepping import CLOCK
from tte.op import Arrays, Example, Kernel, Op, Types
from tte.types import DType, TensorType

S32 = DType.S32


@dataclass(frozen=True, slots=True)
class Tick(Op):
    """(step, seed) becomes (step + 1, seed); after 2**31 - 1 comes -2**31."""

    operands = ("clock",)
    kernels = (Kernel("tte_tick_s32", "tick.h", (S32,), (S32,), inplace=((0, 0),)),)

    def infer(self, *types: TensorType) -> Types:
        """s32[2] to the same."""
        (clock,) = types
        self.expect(clock == CLOCK, f"a clock is {CLOCK}, not {clock}")
        return (clock,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """In 32 bits."""
        step, seed = args[0].astype(np.int64)
        return (np.array([step + 1, seed]).astype(np.int32),)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """The last step wraps."""
        return tuple(Example(cls(), (CLOCK,), (np.array(c, np.int32),)) for c in ((0, 5), (2**31 - 1, -1)))
