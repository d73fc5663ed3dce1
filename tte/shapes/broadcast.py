"""Two tensors of which one is repeated to the shape of the other, as numpy has it. Floor 2."""

from __future__ import annotations

import math
from itertools import zip_longest

from tte.op import Op, Params, Types
from tte.types import DType, Quant, TensorType

RANK = 4
Axis = tuple[int, int, int]  # extent, and strides of a and b (0: repeated)


def joined(a: TensorType, b: TensorType) -> tuple[int, ...] | None:
    """The shape of the result; None if they do not match."""
    pairs = list(zip_longest(reversed(a.shape), reversed(b.shape), fillvalue=1))
    if any(m != n and 1 not in (m, n) for m, n in pairs):
        return None
    return tuple(max(m, n) for m, n in reversed(pairs))


def strides(a: TensorType, b: TensorType) -> Params:
    """Extents n0..n3, and strides a0..a3 and b0..b3; axes that both walk alike are one."""
    axes = _merged(a, b)
    blank = (RANK - len(axes)) * [(1, 0, 0)]
    return {f"{name}{k}": axis[i] for i, name in enumerate("nab") for k, axis in enumerate(blank + axes)}


def fits(a: TensorType, b: TensorType) -> bool:
    """True if the kernels' four axes suffice."""
    return joined(a, b) is not None and len(_merged(a, b)) <= RANK


def result(op: Op, a: TensorType, b: TensorType, out: Quant | None) -> Types:
    """The type of `op` of a and b: their common shape, in s8 in the scale `out`; BadModel where there is none."""
    shape = joined(a, b)
    op.expect(shape is not None and a.dtype is b.dtype, f"{a} does not match {b}")
    op.expect(fits(a, b), f"{a} and {b} are repeated along too many axes")
    if a.dtype is DType.S8:
        op.expect(None not in (a.quant, b.quant, out), "a, b and the result need scales")
    return (TensorType(shape or (), a.dtype, out),)


def _merged(a: TensorType, b: TensorType) -> list[Axis]:
    shape = joined(a, b) or ()
    merged: list[Axis] = []
    for k, n in enumerate(shape):
        at, bt = (_stride(t.shape, k - len(shape)) for t in (a, b))
        if n != 1 and merged and merged[-1][1:] == (n * at, n * bt):
            merged[-1] = (merged[-1][0] * n, at, bt)
        elif n != 1:
            merged.append((n, at, bt))
    return merged


def _stride(shape: tuple[int, ...], k: int) -> int:
    """Elements between neighbours along axis k (counted from the end), 0 where the tensor is repeated."""
    return math.prod(shape[k:]) // shape[k] if -k <= len(shape) and shape[k] != 1 else 0
