"""A tensor of an ONNX model: a constant, or a value of the graph in one of two layouts. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from tte.types import Array, Quant, Value

TO_NHWC, FROM_NHWC = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """A constant, in the model's order of axes. Integers with `quant` stand for reals; u8 is held as s8, less 128."""

    array: Array
    quant: Quant | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """As the model has it."""
        return self.array.shape

    @property
    def real(self) -> Array:
        """What it stands for."""
        if self.quant is None:
            return self.array
        shape = [1] * self.array.ndim
        if self.quant.axis is not None:
            shape[self.quant.axis] = -1
        scale = np.array(self.quant.scale, np.float32).reshape(shape)
        centred: Array = (self.array.astype(np.int64) - self.quant.zero).astype(np.float32)
        return centred * scale

    def arranged(self, rank: int, nhwc: bool) -> Fixed:
        """With axes of size 1 put before until there are `rank`, and in NHWC order if so wished."""
        extra = rank - self.array.ndim
        array = self.array.reshape((1,) * extra + self.array.shape)
        axis = None if self.quant is None or self.quant.axis is None else self.quant.axis + extra
        if nhwc and rank == 3:
            array, axis = array[:, :, None, :], axis if axis is None or axis < 2 else axis + 1
        if nhwc:
            array, axis = array.transpose(TO_NHWC), None if axis is None else TO_NHWC.index(axis)
        return Fixed(np.array(array, order="C"), self.quant and replace(self.quant, axis=axis))


@dataclass(frozen=True, slots=True)
class Live:
    """A tensor that is computed. Where `nhwc`, its value's axes are [n, h, w, c]: of rank 4 moved, of rank 3 h is 1.

    `unsigned`: the model calls it u8; its value is s8, less 128.
    """

    value: Value
    rank: int
    nhwc: bool = False
    unsigned: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """As the model has it."""
        s = self.value.type.shape
        if not self.nhwc:
            return s
        return (s[0], s[3], s[1], s[2]) if self.rank == 4 else (s[0], s[3], s[2])

    def axis(self, axis: int) -> int:
        """Where the model's axis lies in the value."""
        if not self.nhwc:
            return axis
        return {0: 0, 1: 3}.get(axis, axis - 1 if self.rank == 4 else 2)


Tensor: TypeAlias = Fixed | Live
