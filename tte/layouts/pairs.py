"""Weights by pairs of channels and of values, as Arm's DSP extension multiplies them. Floor 1."""

from __future__ import annotations

import numpy as np

from tte.types import Array


def paired(w: Array) -> Array:
    """Weights [co, runs, ..] as words {a0, b0, a1, b1} of two channels, a and b, and two values; see `order`."""
    runs = w.shape[1] if w.ndim > 2 else 1
    places = order(runs, w[0].size // runs)
    padded = np.zeros((len(w) + len(w) % 2, w[0].size + 1), np.int8)
    padded[: len(w), :-1] = w.reshape(len(w), -1)
    words = padded[:, places].reshape(len(padded) // 2, 2, -1, 2).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(words).reshape(len(words), -1).view(np.int32)


def order(runs: int, k: int) -> Array:
    """The value at each place of a patch; -1 stands for none. Bytes 0 and 2 of a word make a pair, and 1 and 3."""
    whole = k // 4 * 4
    words = [r * k + i + j for r in range(runs) for i in range(0, whole, 4) for j in (0, 2, 1, 3)]
    ends = [r * k + i for r in range(runs) for i in range(whole, k)]
    return np.array(words + ends + [-1] * (len(ends) % 2))
