"""A step down the gradient. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import random, stepping
from tte.op import Arrays, Example, Kernel, Op, Params, Slices, Types
from tte.types import DType, Quant, TensorType

F32, S8, S32 = DType.F32, DType.S8, DType.S32
ASKED = (F32, F32, S32)


@dataclass(frozen=True, slots=True)
class Update(Op):
    """y = w - rate * d; for integers y = saturate(w + floor(u - t)), t = rate * d / s and u random in [0, 1).

    So they step by t on average. d is a direction in the real numbers that w stands for, f32 of its shape; rate:
    f32[1], clock: s32[2], (step, seed). Each `number`, of the tensor, gives other random bits. Without `qas` t is
    rate * d * s. What is `frozen`, channels of axis 0, stays. Where d is 0 or no number nothing moves; an s32 moves by
    2**30 at most.
    """

    number: int = 0
    qas: bool = True
    frozen: tuple[int, ...] = ()

    operands = ("w", "d", "rate", "clock")
    kernels = tuple(
        Kernel(
            f"tte_update_{dtype}",
            "update.h",
            (dtype, *ASKED),
            (dtype,),
            form="channels",
            inplace=((0, 0),),
            per_out=per_out,
            params="tte_update",
        )
        for dtype, per_out in ((F32, 8.0), (S8, 32.0), (S32, 41.0))
    )

    def infer(self, *types: TensorType) -> Types:
        """y is of the type of w."""
        w, d, rate, clock = types
        stepping.check(self.label(), w, d, rate=rate, clock=clock)
        self.expect(w.dtype in (F32, S8, S32), f"{w} is neither f32 nor s8 nor s32")
        if w.dtype is not F32:
            stepping.check_scaled(self.label(), w, self.frozen)
        return (w,)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: (rate * factor) * d in f32, then integers."""
        w, d, rate, clock = args
        if ins[0].dtype is F32:
            return (w - rate[0] * d,)
        t = stepping.scaled(d, rate, stepping.factor(ins[0], self.qas, self.frozen))
        bits = random.bits(random.key(int(clock[0]), int(clock[1]), self.number), w.size)
        ends = np.iinfo(w.dtype)
        return ((w + stepping.stochastic(t, bits)).clip(ends.min, ends.max).astype(w.dtype),)

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Channels of axis 0; the bits of an element are those that it has in the whole."""
        return stepping.rows(ins, outs, whole=2)

    def params(self, ins: Types, outs: Types) -> Params:
        """Channels, elements of one; for integers the factor of each channel and the number.

        The number is an array, so that tensors of one shape share a function.
        """
        w = ins[0]
        sizes: Params = {"channels": w.shape[0], "row": stepping.row(w)}
        if w.dtype is F32:
            return sizes
        factor = stepping.factor(w, self.qas, self.frozen).astype(np.float32)
        arrays: Params = {"factor": factor, "number": np.array([self.number], np.int32)}
        return sizes | arrays

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Steps of all sizes, huge and none, no numbers; frozen channels, one scale for all, the ends of s32."""
        scales = Quant((0.01, 0.003, 4e-9, 0.5, 0.02), 0, 0)

        odd = (0, np.nan, np.inf, -np.inf, 1e30, -1e30, 0, -0.0, 1, -1, 0.5, -0.5)

        def of(op: Update, w: TensorType, spread: float, clock: tuple[int, int] = (7, 12345)) -> Example:
            e = Example.random(op, w, TensorType(w.shape, F32), stepping.RATE, stepping.CLOCK)
            d = e.args[1].reshape(-1)
            d *= np.float32(10) ** np.linspace(-spread, spread, d.size, dtype=np.float32)
            if w.dtype is not F32:
                d[:60:5] = np.asarray(odd, np.float32)[: len(d[:60:5])]
            e.args[2][:] = 0.01
            e.args[3][:] = clock
            return e

        ends = of(cls(-5), TensorType((7,), S32, Quant((1e-6,))), 3)
        ends.args[0][:6] = 2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 2**31 - 1, -(2**31)
        return (
            of(cls(), TensorType((2, 3, 1, 2), F32), 1),
            of(cls(3, frozen=(2,)), TensorType((5, 3, 3, 3), S8, scales), 4),
            of(cls(3, qas=False), TensorType((5, 3, 3, 3), S8, scales), 4, (-1, -(2**31))),
            of(cls(2**31 - 1), TensorType((3, 1, 1, 40), S8, Quant((0.1,))), 2, (2**31 - 1, 0)),
            of(cls(1), TensorType((5,), S32, scales), 2),
            ends,
        )
