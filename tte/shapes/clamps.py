"""Results in s8 that are clamped, and the masks of what was not: what ops with the field `masked` share. Floor 2."""

from __future__ import annotations

import numpy as np

from tte.op import Arrays, Op, Types
from tte.types import Array, DType, TensorType


def results(op: Op, y: TensorType, masked: bool) -> Types:
    """y, and if `masked` a mask u1 of its shape; BadModel if y has none."""
    op.expect(y.dtype is DType.S8 or not masked, "only results in s8 have a mask")
    return (y, TensorType(y.shape, DType.U1)) if masked else (y,)


def clamped(free: Array, low: int, high: int, outs: Types) -> Arrays:
    """Integers clamped to s8, and if `outs` has a mask, 1 where that changed nothing, else 0."""
    y = free.clip(low, high)
    return (y.astype(np.int8), (y == free).astype(np.uint8))[: len(outs)]
