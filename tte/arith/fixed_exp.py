"""Exponential and reciprocal in fixed point, as LiteRT's reference softmax has them (gemmlowp's algorithms).

`F0` are s32 with 31 fractional bits, `F2` with 29; products are rounded to the nearest, ties upward. Floor 2.
"""

from __future__ import annotations

import math

import numpy as np

from tte.arith.fixed import divide_by_power, multiplier, round_shift
from tte.types import Array

ONE = 2**31 - 1
# e**-(2**k) for k = -2..4, in F0
POWERS = tuple(round(math.exp(-(2.0**k)) * 2**31) for k in range(-2, 5))


def softmax_table(scale: float, beta: float) -> Array:
    """e**(-beta * scale * d) in F0 for d = 0..255: s32[256]; 0 where the difference is too large for the format.

    beta * scale is at least 2**-26; from 16 on, all but the greatest element vanish.
    """
    m, shift = multiplier(min(beta * scale, 15.99) * 2**26)
    least = -math.floor(31 * 2.0**26 * 2.0**shift) if beta * scale < 16 else 0
    d = -np.arange(256, dtype=np.int64)
    inside = d >= least
    scaled = _mul(np.where(inside, d, 0) << -shift, m)
    return np.where(inside, _exp_negative(scaled), 0).astype(np.int32)


def reciprocal(total: Array) -> tuple[Array, Array]:
    """(r, bits) with 1 / (total / 2**19) = r / 2**31 / 2**bits, for totals in [2**19, 2**31)."""
    digits = np.array([int(t).bit_length() for t in total.ravel()]).reshape(total.shape)
    rest = (total.astype(np.int64) << (32 - digits)) - 2**31
    half = (rest + ONE + 1) // 2
    x = 1515870810 + _mul(half, -1010580540)  # Newton's iteration for 1 / (1 + rest), in F2
    for _ in range(3):
        x = x + np.clip(_mul(x, (1 << 29) - _mul(half, x)) * 4, -(2**31), ONE)
    return np.clip(x * 2, -(2**31), ONE), digits - 20


def _exp_negative(a: Array) -> Array:
    """e**a in F0, for a <= 0 with 26 fractional bits: a polynomial on (-1/4, 0], times a power for each further bit."""
    quarter = 1 << 24
    low = (a & (quarter - 1)) - quarter
    rest = low - a
    y = _exp_quarter(low << 5)
    for bit, power in zip(range(24, 31), POWERS, strict=True):
        y = np.where(rest & (1 << bit), _mul(y, power), y)
    return np.where(a == 0, ONE, y)


def _exp_quarter(a: Array) -> Array:
    """e**a for a in F0, in [-1/4, 0): a Taylor series around -1/8."""
    at, third = round(math.exp(-1 / 8) * 2**31), round(2**31 / 3)
    x = a + (1 << 28)
    x2 = _mul(x, x)
    x3, x4 = _mul(x2, x), _mul(x2, x2)
    tail = divide_by_power(_mul(divide_by_power(x4, 2) + x3, third) + x2, 1)
    return at + _mul(x + tail, at)


def _mul(a: Array, b: Array | int) -> Array:
    """a * b / 2**31."""
    return round_shift(a * b, 31)
