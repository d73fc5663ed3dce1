"""Operands cut along channels, and a kernel's parameters for them. Floor 2."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from tte.op import Op, Params, Slices, Types
from tte.types import TensorType

WHOLE = Slices((), ())


@dataclass(frozen=True, slots=True)
class Cut:
    """How a tensor lies in memory: `outer` times `count` channels of `inner` elements."""

    outer: int
    count: int
    inner: int


def cut(t: TensorType, axis: int) -> Cut:
    """The tensor as channels along an axis."""
    return Cut(math.prod(t.shape[:axis]), t.shape[axis], math.prod(t.shape[axis + 1 :]))


def part(t: TensorType, axis: int | None, n: int) -> TensorType:
    """The type of the first `n` channels along an axis."""
    if axis is None:
        return t
    q = t.quant
    if q is not None and q.axis == axis:
        q = replace(q, scale=q.scale[:n])
    return TensorType((*t.shape[:axis], n, *t.shape[axis + 1 :]), t.dtype, q)


def parts(types: Types, axes: tuple[int | None, ...], n: int) -> Types:
    """Those of several operands."""
    return tuple(part(t, a, n) for t, a in zip(types, axes, strict=True))


def parameters(
    op: Op, ins: Types, outs: Types, slices: Slices = WHOLE, n: int = 0, rings: Collection[str] = ()
) -> Params:
    """`Op.params` of a "channels" kernel that computes all, or `n` channels; with the pitches that Kernel tells of.

    `rings` names the operands of which no more than the `n` channels exist.
    """
    given, made = ins, outs
    if slices is not WHOLE:
        given, made = parts(ins, slices.ins, n), parts(outs, slices.outs, n)
    ways = op.slices(ins, outs)
    found = op.params(given, made)
    named = [(op.operand(i), t, {w.ins[i] for w in ways}) for i, t in enumerate(ins)]
    named += [(f"y{o or ''}", t, {w.outs[o] for w in ways}) for o, t in enumerate(outs)]
    for name, t, axes in named:
        if len(t.shape) > 1 and len(t.shape) - 1 in axes:
            found[f"{name}_pitch"] = n if name in rings else t.shape[-1]
    return found
