"""Weights in s8 with a float scale per row, and from these in four bits, with an integer step for each group.

Source: QServe (arXiv 2405.04532), progressive group quantisation. Floor 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from tte.types import Array

BITS = 4
TINY = np.float32(1e-30)  # the scale of a row of zeros
STRETCHES = tuple(1 + i / 100 for i in range(21))  # of a row's scale to try


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """w[n,k] is about by[n] * (q - zero) * step, where (q - zero) * step fits s8; step and zero are of each group.

    q: u8[n,k] below 16; step, zero: u8[n, ceil(k / group)], zero below 16; by: f32[n]. The last group may be shorter.
    """

    q: Array
    step: Array
    zero: Array
    by: Array
    group: int

    @property
    def bytes_in_s8(self) -> Array:
        """(q - zero) * step, s32[n,k]."""
        step, zero = (spread(a, self.group, self.q.shape[1]) for a in (self.step, self.zero))
        return (self.q.astype(np.int32) - zero) * step

    @property
    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """All, in this order."""
        return self.q, self.step, self.zero, self.by

    @property
    def reals(self) -> Array:
        """What the integers stand for, f32[n,k]."""
        return self.bytes_in_s8.astype(np.float32) * self.by[:, None]


def symmetric(w: Array, most: int = 127) -> tuple[Array, Array]:
    """A matrix f32[n,k] as s8 within +-most, and the scale of each row, f32[n]."""
    scales = np.maximum(abs(w).max(1) / np.float32(most), TINY).astype(np.float32)
    return np.clip(np.rint(w / scales[:, None]), -most, most).astype(np.int8), scales


def spread(a: Array, group: int, k: int) -> Array:
    """What belongs to groups, beside each of their k columns, in s32."""
    return a.astype(np.int32).repeat(group, axis=1)[:, :k]


def step_and_zero(low: Array, high: Array, bits: int = BITS) -> tuple[Array, Array]:
    """Of groups of s8 whose least and greatest are low <= 0 <= high."""
    top = 2**bits - 1
    step = np.maximum(np.rint((high - low) / top), 1).astype(np.int32)
    return step, np.clip(np.rint(-low / step), 0, top).astype(np.int32)


def coded(q8: Array, step: Array, zero: Array, bits: int = BITS) -> Array:
    """The codes of s8."""
    found: Array = np.clip(np.rint(q8 / step) + zero, 0, 2**bits - 1).astype(np.int32)
    return found


@cache
def protective_range(bits: int = BITS) -> int:
    """The greatest r such that all s8 of every group within [-r, r] come back from codes of `bits` bits as s8.

    Found by trying all groups: extremes low <= 0 <= high, which come back lowest and highest.
    """
    low, high = np.meshgrid(-np.arange(128), np.arange(128))
    step, zero = step_and_zero(low, high, bits)
    least, most = ((coded(q8, step, zero, bits) - zero) * step for q8 in (low, high))
    return int(np.maximum(-low, high)[(least < -128) | (most > 127)].min(initial=128)) - 1


def quantized(w: Array, group: int) -> Groups:
    """Weights f32[n,k], rounded to the nearest; a group is `group` columns of a row.

    As steps are integers, a larger scale of a row may serve its groups better: that with least squares is taken.
    """
    _, smallest = symmetric(w, protective_range())
    best = _coarse(w, smallest.copy(), group)
    least = np.square(best.reals - w).sum(1)
    for stretch in STRETCHES[1:]:
        tried = _coarse(w, smallest * np.float32(stretch), group)
        found = np.square(tried.reals - w).sum(1)
        better = found < least
        for mine, other in zip(best.arrays, tried.arrays, strict=True):
            mine[better] = other[better]
        least = np.minimum(found, least)
    return best


def _coarse(w: Array, by: Array, group: int) -> Groups:
    """With these scales of rows."""
    n, k = w.shape
    q8 = np.rint(w / by[:, None]).clip(-protective_range(), protective_range()).astype(np.int32)
    by_groups = np.pad(q8, ((0, 0), (0, -k % group))).reshape(n, -1, group)
    step, zero = step_and_zero(np.minimum(by_groups.min(2), 0), np.maximum(by_groups.max(2), 0))
    q = coded(q8, spread(step, group, k), spread(zero, group, k))
    return Groups(q.astype(np.uint8), step.astype(np.uint8), zero.astype(np.uint8), by, group)
