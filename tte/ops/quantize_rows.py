"""Rows of reals as integers, with a scale for each row. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.types import DType, TensorType

F32, S8 = DType.F32, DType.S8
LEAST = np.float32(1e-30)  # rows of nothing greater are zeros


@dataclass(frozen=True, slots=True)
class QuantizeRows(Op):
    """q[n,k] = round(x * (127 / max |x| of the row)), ties to even, in s8, and s[n] = max |x| / 127: x is about q * s.

    x is finite. A row of zeros has scale 0.
    """

    kernels = (
        Kernel("tte_quantize_rows_s8", "quantize_rows.h", (F32,), (S8, F32), per_out=12.0),
        Kernel("tte_quantize_rows_s8_simd", "quantize_rows_simd.h", (F32,), (S8, F32), isa="simd", per_out=3.0),
    )

    def infer(self, *types: TensorType) -> Types:
        """x[n,k] gives q[n,k] and s[n]."""
        (x,) = types
        self.expect(x.dtype is F32 and len(x.shape) == 2 and 0 not in x.shape, f"x must be a matrix of f32, not {x}")
        return TensorType(x.shape, S8), TensorType(x.shape[:1], F32)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        x = args[0].astype(np.float32)
        most = np.abs(x).max(1)
        by = np.where(most > LEAST, np.float32(127) / np.maximum(most, LEAST), np.float32(0))
        return np.rint(x * by[:, None]).astype(np.int8), most / np.float32(127)

    def params(self, ins: Types, outs: Types) -> Params:
        """Rows, elements of one."""
        n, k = ins[0].shape
        return {"n": n, "k": k}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Ties, rows of zeros, of tiny and of huge numbers, ragged."""
        x = TensorType((5, 23), F32)
        rows = Example.random(cls(), x)
        rows.args[0][1:4] *= np.array([[0], [1e-36], [1e36]], np.float32)
        rows.args[0][4] = np.arange(-11, 12) * 12.7 / np.float32(1.1)
        ties = np.append(np.arange(-63, 64) / np.float32(2), np.float32(-127)).astype(np.float32).reshape(1, 128)
        return (
            rows,
            Example(cls(), (TensorType((1, 128), F32),), (ties,)),
            Example.random(cls(), TensorType((3, 1), F32)),
        )
