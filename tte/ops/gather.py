"""Rows of a table. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.op import Arrays, Example, Kernel, Op, Params, Types
from tte.types import DType, TensorType

F32, S32 = DType.F32, DType.S32


@dataclass(frozen=True, slots=True)
class Gather(Op):
    """y[n,d]: row ids[i] of table[v,d] as row i; an id outside 0..v-1 is the nearest one inside."""

    operands = ("table", "ids")
    kernels = (Kernel("tte_gather_f32", "gather.h", (F32, S32), (F32,), per_out=4.0),)

    def infer(self, *types: TensorType) -> Types:
        """table[v,d] and ids[n] give y[n,d]."""
        table, ids = types
        self.expect(len(table.shape) == 2 and 0 not in table.shape, f"the table must be a matrix, not {table}")
        self.expect(
            ids.dtype is S32 and len(ids.shape) == 1 and ids.size > 0, f"ids must be a vector of s32, not {ids}"
        )
        return (TensorType((ids.shape[0], table.shape[1]), table.dtype, table.quant),)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Elements stay as they are."""
        table, ids = args
        return (table[np.clip(ids, 0, table.shape[0] - 1)],)

    def params(self, ins: Types, outs: Types) -> Params:
        """Rows of the table, their elements, and how many are taken."""
        table, ids = ins
        return {"n": ids.shape[0], "v": table.shape[0], "d": table.shape[1]}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Ids inside, repeated and outside; a table that is a constant, and one that is not; one of one row."""
        table, ids = TensorType((7, 5), F32), TensorType((6,), S32)
        of = Example.random(cls(), table, ids, consts=(0,))
        of.args[1][:] = 0, 6, 3, 3, 5, 1
        outside = Example.random(cls(), table, ids)
        outside.args[1][:] = -1, 7, 2**31 - 1, -(2**31), 2, 0
        return of, outside, Example.random(cls(), TensorType((1, 1), F32), TensorType((1,), S32))
