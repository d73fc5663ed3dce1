"""How weights take steps that may be far below one, bit for bit runtime_c/tte_stepping.h. Floor 2."""

from __future__ import annotations

import math

import numpy as np

from tte.errors import BadModel
from tte.op import Slices, Types
from tte.types import Array, DType, TensorType

FARTHEST = 2.0**30  # steps are cut to this

RATE, CLOCK = TensorType((1,), DType.F32), TensorType((2,), DType.S32)


def due(clock: Array, every: int) -> bool:
    """True in each call number `every`, counted from 1; clock is (calls before, seed)."""
    return ((int(clock[0]) + 1) % 2**32) % every == 0


def stochastic(t: Array, bits: Array) -> Array:
    """floor(u - t) with u = bits / 2**32, which is -t on average; s64.

    t is cut to +-2**30 and its fraction to 32 bits, both toward zero; a t that is no number is 0.
    """
    t = _cut(t)
    whole = np.trunc(t)
    rest = np.trunc((t - whole).astype(np.float64) * 2.0**32).astype(np.int64)
    stepped: Array = ((bits.reshape(t.shape).astype(np.int64) - rest) >> 32) - whole.astype(np.int64)
    return stepped


def power(base: np.floating, n: int) -> np.floating:
    """base**n by repeated squaring, from the lowest bit of n."""
    result = base.dtype.type(1)
    with np.errstate(under="ignore"):
        while n > 0:
            result = result * base if n % 2 else result
            base, n = base * base, n // 2
    return result


def factor(w: TensorType, qas: bool, frozen: tuple[int, ...]) -> Array:
    """By what rate * d becomes a step in units of w, per channel of axis 0 in f64: 1 / s, and 0 for those frozen.

    A real weight s * q that moves by rate * d moves its q by rate * d / s. Without `qas` q moves by the gradient with
    respect to q itself, which is d * s (DESIGN 5).
    """
    scale = np.broadcast_to(np.asarray(w.scaling.scale, np.float64), w.shape[:1])
    found = 1 / scale if qas else scale.copy()
    found[[i for i in frozen if i < len(found)]] = 0  # w may be cut to its first channels
    return found


def scaled(d: Array, rate: Array, factors: Array) -> Array:
    """(rate * factor) * d, with a factor for each channel of axis 0; in the precision of d."""
    with np.errstate(invalid="ignore", over="ignore"):
        by_channel = rate[0] * factors.astype(d.dtype)
        t: Array = by_channel.reshape(-1, *(1,) * (d.ndim - 1)) * d
    return t


def rows(ins: Types, outs: Types, whole: int) -> tuple[Slices, ...]:
    """All but the last `whole` inputs can be cut along axis 0."""
    return (Slices((0,) * (len(ins) - whole) + (None,) * whole, (0,) * len(outs)),)


def check(
    op: str, like: TensorType, *gradients: TensorType, rate: TensorType = RATE, clock: TensorType = CLOCK
) -> None:
    """Reject operands of an update: gradients and moments are f32 of the shape of `like`."""
    if not like.shape:
        raise BadModel(op, f"{like} has no channels")
    for t in gradients:
        if t != TensorType(like.shape, DType.F32):
            raise BadModel(op, f"{t} is not f32 of the shape of {like}")
    if (rate, clock) != (RATE, CLOCK):
        raise BadModel(op, f"the rate must be {RATE} and the clock {CLOCK}, not {rate} and {clock}")


def check_scaled(op: str, w: TensorType, frozen: tuple[int, ...]) -> None:
    """Reject integers of which it isn't known what they stand for."""
    if w.quant is None or w.quant.zero != 0 or w.quant.axis not in (None, 0):
        raise BadModel(op, f"{w} needs a scale, one or per channel of axis 0, and zero 0")
    if not all(0 <= i < w.shape[0] for i in frozen):
        raise BadModel(op, f"{w} has no channels {frozen}")


def row(t: TensorType) -> int:
    """Elements of one channel of axis 0."""
    return math.prod(t.shape[1:])


def _cut(t: Array) -> Array:
    within: Array = np.clip(np.where(np.isnan(t), 0, t), -FARTHEST, FARTHEST).astype(t.dtype)
    return within
