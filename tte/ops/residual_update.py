"""A step down the gradient that keeps what is below one. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import random, stepping
from tte.op import Arrays, Example, Kernel, Op, Params, Slices, Types
from tte.types import DType, Quant, TensorType

F32, S8, S16, S32 = DType.F32, DType.S8, DType.S16, DType.S32


@dataclass(frozen=True, slots=True)
class ResidualUpdate(Op):
    """w + r / 2**bits -= rate * d / s; r is s8 or s16, of so many bits, and w s8.

    Steps are often below the last bit of r too, so they are rounded to it stochastically. The number of fixed point
    saturates. w' is its nearest integer and r' the rest, -2**(bits-1) <= r' < 2**(bits-1). d, rate, clock and the
    fields are as in `update`.
    """

    number: int = 0
    qas: bool = True
    frozen: tuple[int, ...] = ()

    operands = ("w", "r", "d", "rate", "clock")
    kernels = tuple(
        Kernel(
            f"tte_residual_update_{rest}",
            "residual_update.h",
            (S8, rest, F32, F32, S32),
            (S8, rest),
            form="channels",
            inplace=((0, 0), (1, 1)),
            per_out=34.0,
            params="tte_residual_update",
        )
        for rest in (S8, S16)
    )

    def infer(self, *types: TensorType) -> Types:
        """w' and r'."""
        w, r, d, rate, clock = types
        stepping.check(self.label(), w, d, rate=rate, clock=clock)
        stepping.check_scaled(self.label(), w, self.frozen)
        self.expect(w.dtype is S8 and r.dtype in (S8, S16) and r.shape == w.shape, f"{w} and {r} are no such pair")
        return w, r

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: (rate * factor) * d * 2**bits in f32, then integers."""
        w, r, d, rate, clock = args
        bits = r.dtype.itemsize * 8
        half = 1 << (bits - 1)
        t = stepping.scaled(d, rate, stepping.factor(ins[0], self.qas, self.frozen))
        with np.errstate(over="ignore"):
            t = t * t.dtype.type(2.0**bits)
        drawn = random.bits(random.key(int(clock[0]), int(clock[1]), self.number), w.size)
        fixed = (w.astype(np.int64) << bits) + r + stepping.stochastic(t, drawn)
        fixed = fixed.clip((-128 << bits) - half, (127 << bits) + half - 1)
        whole = (fixed + half) >> bits
        return whole.astype(np.int8), (fixed - (whole << bits)).astype(r.dtype)

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Channels of axis 0; the bits of an element are those that it has in the whole."""
        return stepping.rows(ins, outs, whole=2)

    def params(self, ins: Types, outs: Types) -> Params:
        """Channels, elements of one, the factor of each channel and the number."""
        w = ins[0]
        factor = stepping.factor(w, self.qas, self.frozen).astype(np.float32)
        arrays: Params = {"factor": factor, "number": np.array([self.number], np.int32)}
        return {"channels": w.shape[0], "row": stepping.row(w)} | arrays

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Steps of all sizes, huge and none, no numbers; a frozen channel; all ends."""
        w = TensorType((4, 3, 3, 3), S8, Quant((0.01, 0.25, 4e-9, 0.5), 0, 0))
        odd = (0, np.nan, np.inf, -np.inf, 1e30, -1e30, -0.0, 2**-8, 2**-9, 3 * 2**-9, 2**-16, 2**-17, -3 * 2**-17)

        def of(op: ResidualUpdate, rest: DType, rate: float) -> Example:
            types = w, TensorType(w.shape, rest), TensorType(w.shape, F32), stepping.RATE, stepping.CLOCK
            e = Example.random(op, *types)
            e.args[2].reshape(-1)[:] *= np.float32(10) ** np.linspace(-4, 4, w.size, dtype=np.float32)
            e.args[2].reshape(4, -1)[1, : len(odd)] = odd
            e.args[3][:] = rate
            e.args[4][:] = 7, 12345
            return e

        return (
            of(cls(3, frozen=(2,)), S8, 0.25),
            of(cls(frozen=(2,)), S16, 0.25),
            of(cls(qas=False), S8, 3.0),
            of(cls(2**31 - 1, frozen=(0, 2)), S16, 0.001),
        )
