"""Where windows lie on a map: what pools share. Floor 2."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tte.types import Array

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]  # top, left, bottom, right


def well_formed(size: Pair, stride: Pair, pads: Pads) -> bool:
    """True if sizes and strides are positive, and every padding is smaller than its window."""
    top, left, bottom, right = pads
    inside = max(top, bottom) < size[0] and max(left, right) < size[1]
    return min(*size, *stride) >= 1 and min(pads) >= 0 and inside


def pooled(shape: tuple[int, ...], size: Pair, stride: Pair, pads: Pads) -> Pair:
    """Rows and columns of the result of a window over a map of `shape` [1, h, w, c]; not positive if none fits."""
    top, left, bottom, right = pads
    return (shape[1] + top + bottom - size[0]) // stride[0] + 1, (shape[2] + left + right - size[1]) // stride[1] + 1


def taps(x: Array, size: Pair, stride: Pair, pads: Pads, fill: float) -> Iterator[Array]:
    """For each position in the window, ky first, what lies there for all outputs: [1, oh, ow, c]; outside is `fill`."""
    (oh, ow), (top, left, bottom, right) = pooled(x.shape, size, stride, pads), pads
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    for ky in range(size[0]):
        rows = padded[:, ky : ky + (oh - 1) * stride[0] + 1 : stride[0]]
        for kx in range(size[1]):
            yield rows[:, :, kx : kx + (ow - 1) * stride[1] + 1 : stride[1]]
