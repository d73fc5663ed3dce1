"""Random bits from counters, bit for bit runtime_c/tte_random.h: what was drawn before doesn't matter. Floor 1."""

from __future__ import annotations

import numpy as np

from tte.types import Array

MASK = 2**32 - 1
STEPS = (16, 0x7FEB352D, 15, 0x846CA68B, 16)  # found by search: github.com/skeeto/hash-prospector, "lowbias32"


def key(step: int, seed: int, number: int) -> tuple[int, int]:
    """The key of a tensor's random bits: another one for each seed, step and number of the tensor."""
    turn = _mix(_mix(seed + 0x9E3779B9) ^ (step & MASK))
    first = _mix(turn ^ (number & MASK))
    return first, _mix(first + turn)


def bits(keys: tuple[int, int], size: int) -> Array:
    """32 bits for each of the elements 0, 1, .. size - 1: u32[size]."""
    first, second = (np.full(1, k, np.uint32) for k in keys)
    a, m, b, n, c = map(np.uint32, STEPS)
    x = np.arange(size, dtype=np.uint32) + first
    x = (x ^ x >> a) * m + second
    x = (x ^ x >> b) * n
    drawn: Array = x ^ x >> c
    return drawn


def _mix(x: int) -> int:
    """One to one on 32 bits, such that each bit of x changes each bit of the result half the time."""
    a, m, b, n, c = STEPS
    x &= MASK
    x = (x ^ x >> a) * m & MASK
    x = (x ^ x >> b) * n & MASK
    return x ^ x >> c
