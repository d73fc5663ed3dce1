"""A step down the gradient of weights whose masters are floats. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.arith import stepping
from tte.op import Arrays, Example, Kernel, Op, Params, Slices, Types
from tte.types import DType, Quant, TensorType

F32, S8 = DType.F32, DType.S8


@dataclass(frozen=True, slots=True)
class MasterUpdate(Op):
    """master' = clamp(master - rate * d / s, -128, 127), and w' is its nearest integer, ties to even.

    The master, f32, is in units of w, so w is s8 and begins as what it was rounded to. d, rate, `qas` and `frozen` are
    as in `update`. Where d is no number nothing moves.
    """

    qas: bool = True
    frozen: tuple[int, ...] = ()

    operands = ("w", "master", "d", "rate")
    kernels = (
        Kernel(
            "tte_master_update_s8",
            "master_update.h",
            (S8, F32, F32, F32),
            (S8, F32),
            form="channels",
            inplace=((0, 0), (1, 1)),
            per_out=16.0,
        ),
    )

    def infer(self, *types: TensorType) -> Types:
        """w' and master'."""
        w, master, d, rate = types
        stepping.check(self.label(), w, master, d, rate=rate)
        stepping.check_scaled(self.label(), w, self.frozen)
        self.expect(w.dtype is S8, f"{w} is not s8")
        return w, master

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact: master - (rate * factor) * d in f32."""
        _, master, d, rate = args
        t = stepping.scaled(d, rate, stepping.factor(ins[0], self.qas, self.frozen))
        moved = np.clip(master - np.where(np.isnan(t), t.dtype.type(0), t), -128, 127).astype(master.dtype)
        return np.rint(moved).astype(np.int8), moved

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Channels of axis 0."""
        return stepping.rows(ins, outs, whole=1)

    def params(self, ins: Types, outs: Types) -> Params:
        """Channels, elements of one, and the factor of each channel."""
        w = ins[0]
        factor = stepping.factor(w, self.qas, self.frozen).astype(np.float32)
        return {"channels": w.shape[0], "row": stepping.row(w), "factor": factor}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Steps of all sizes, huge and none, ties, no numbers; a frozen channel."""
        w = TensorType((4, 3, 3, 3), S8, Quant((0.01, 0.25, 4e-9, 0.5), 0, 0))
        e = Example.random(cls(frozen=(2,)), w, TensorType(w.shape, F32), TensorType(w.shape, F32), stepping.RATE)
        e.args[1][:] = e.args[0]
        e.args[2].reshape(-1)[:] *= np.float32(10) ** np.linspace(-4, 4, w.size, dtype=np.float32)
        odd = (0, np.nan, np.inf, -np.inf, 1e30, -1e30, -0.0, 0.5, 1.5, -0.5, -2.5)
        e.args[2].reshape(4, -1)[1, : len(odd)] = odd
        e.args[3][:] = 0.25
        return (e, Example(cls(qas=False), e.ins, e.args))
