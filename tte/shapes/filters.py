"""What the filters of a convolution are, and which forms of it there are: what kernels ask of a node. Floor 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from tte.types import Array, TensorType

Types: TypeAlias = tuple[TensorType, ...]
Params: TypeAlias = Mapping[str, int | float | Array]
Consts: TypeAlias = dict[str, Array]


def split_axis(ins: Types) -> int:
    """The axis along which w and rest are joined: 0 (filters) if those of w are not all, else 3 (their channels)."""
    return 0 if ins[1].shape[0] < ins[2].shape[0] else 3


def whole(ins: Types) -> TensorType:
    """The type of all filters: w, joined with rest where there is one, which continues it (see `check`)."""
    w = ins[1]
    if len(ins) < 4:
        return w
    rest, axis = ins[3], split_axis(ins)
    shape = tuple(n + m * (i == axis) for i, (n, m) in enumerate(zip(w.shape, rest.shape, strict=True)))
    quant = w.quant
    if quant and rest.quant and axis == 0 and quant.axis == 0:
        quant = replace(quant, scale=quant.scale + rest.quant.scale)
    return replace(w, shape=shape, quant=quant)


def check(expect: Callable[[bool, str], None], types: Types) -> TensorType:
    """`whole`, after `expect` was asked to complain if w and rest cannot be joined."""
    x, w = types[:2]
    if len(types) < 4:
        return w
    rest = types[3]
    axis, n = split_axis(types), len(w.shape)
    others = [i for i in range(n) if i != axis]
    fits = len(rest.shape) == n and all(rest.shape[i] == w.shape[i] for i in others)
    expect(fits and rest.dtype is w.dtype, f"rest must continue {w} along axis {axis}, not {rest}")
    scaled = (w.quant is None) == (rest.quant is None) and (axis == 0 or w.quant == rest.quant)
    expect(scaled and (axis == 3 or w.quant is None or w.scaling.axis == 0), f"{w} and {rest} differ in scale")
    found = whole(types)
    single = found.shape[3] == 1 and found.shape[0] == x.shape[3]
    expect(single if axis == 0 else found.shape[3] == x.shape[3], f"filters of {found} cannot be split")
    return found


def taps_first(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Depthwise weights [c, kh, kw, 1] as [kh, kw, c], so that neighbouring channels are neighbours."""
    return {**consts, "w": np.ascontiguousarray(consts["w"][:, :, :, 0].transpose(1, 2, 0))}


def patch(ins: Types, outs: Types, params: Params) -> int:
    """Bytes of the pixels under a filter."""
    return math.prod(ins[1].shape[1:])


def depthwise(ins: Types, outs: Types, params: Params) -> bool:
    """One filter per channel."""
    x, w = ins[0].shape, whole(ins).shape
    return w[3] == 1 and w[0] == x[3]


def pointwise(ins: Types, outs: Types, params: Params) -> bool:
    """A product of matrices: 1x1, stride 1, no groups."""
    return ins[0].shape[1:3] == outs[0].shape[1:3] and matmul(ins, outs, params)


def narrowing(ins: Types, outs: Types, params: Params) -> bool:
    """Pointwise, to no more channels: results may replace what they were made of."""
    return pointwise(ins, outs, params) and outs[0].shape[3] <= ins[0].shape[3]


def dense(ins: Types, outs: Types, params: Params) -> bool:
    """All input channels feed all output channels."""
    return whole(ins).shape[3] == ins[0].shape[3]


def widening(ins: Types, outs: Types, params: Params) -> bool:
    """Pointwise, to more channels."""
    return pointwise(ins, outs, params) and outs[0].shape[3] > ins[0].shape[3]


def compact(ins: Types, outs: Types, params: Params) -> bool:
    """Dense, and the columns under the filter are neighbours."""
    return dense(ins, outs, params) and (params["dilation"] == 1 or ins[1].shape[2] == 1)


def threes(ins: Types, outs: Types, params: Params) -> bool:
    """Depthwise, 3x3, and the middle of a filter never lies outside x."""
    square = ins[1].shape[1:3] == (3, 3) and params["dilation"] == 1 and params["stride"] in (1, 2)
    return depthwise(ins, outs, params) and square and int(params["padded"]) <= 1


def gapless(ins: Types, outs: Types, params: Params) -> bool:
    """Depthwise, and the columns under the filter are neighbours."""
    return depthwise(ins, outs, params) and (params["dilation"] == 1 or ins[1].shape[2] == 1)


def matmul(ins: Types, outs: Types, params: Params) -> bool:
    """Each pixel of the result from one pixel that lies in x."""
    return whole(ins).shape[1:] == (1, 1, ins[0].shape[3]) and not params["padded"]
