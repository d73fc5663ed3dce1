"""What the filters of a convolution are, and which forms of it there are: what kernels ask of a node. Floor 2."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tte.op import Consts, Example, Op, Params, Types
from tte.types import TensorType


def split_axis(ins: Types) -> int:
    """The axis along which w and rest are joined: 0 (filters) if those of w are not all, else 3 (their channels)."""
    return 0 if ins[1].shape[0] < ins[2].shape[0] else 3


def filters(ins: Types) -> TensorType:
    """The type of all filters: w, joined with rest where there is one, which continues it (see `check`)."""
    if len(ins) < 4:
        return ins[1]
    w, rest, axis = ins[1], ins[3], split_axis(ins)
    shape = tuple(n + m * (i == axis) for i, (n, m) in enumerate(zip(w.shape, rest.shape, strict=True)))
    quant = w.quant
    if quant and rest.quant and axis == 0 and quant.axis == 0:
        quant = replace(quant, scale=quant.scale + rest.quant.scale)
    return replace(w, shape=shape, quant=quant)


def check(op: Op, types: Types) -> TensorType:
    """`filters`, or a BadModel that says why w and rest cannot be joined."""
    if len(types) < 4:
        return types[1]
    x, w, _, rest = types
    axis, n = split_axis(types), len(w.shape)
    others = [i for i in range(n) if i != axis]
    fits = len(rest.shape) == n and all(rest.shape[i] == w.shape[i] for i in others)
    op.expect(fits and rest.dtype is w.dtype, f"rest must continue {w} along axis {axis}, not {rest}")
    scaled = (w.quant is None) == (rest.quant is None) and (axis == 0 or w.quant == rest.quant)
    op.expect(scaled and (axis == 3 or w.quant is None or w.scaling.axis == 0), f"{w} and {rest} differ in scale")
    whole = filters(types)
    single = whole.shape[3] == 1 and whole.shape[0] == x.shape[3]
    op.expect(single if axis == 0 else whole.shape[3] == x.shape[3], f"filters of {whole} cannot be split")
    return whole


def split(e: Example, k: int) -> Example:
    """The example with its filters in two parts, the first of which has k channels; depthwise: k filters."""
    w, axis = e.ins[1], 0 if e.ins[1].shape[3] == 1 else 3
    parts, types = np.split(e.args[1], [k], axis), list[TensorType]()
    for part, at in zip(parts, (slice(k), slice(k, None)), strict=True):
        cut = w.quant and replace(w.quant, scale=w.quant.scale[at] if axis == 0 else w.quant.scale)
        types.append(replace(w, shape=part.shape, quant=cut))
    args = (e.args[0], parts[0], e.args[2], parts[1])
    return replace(e, ins=(e.ins[0], types[0], e.ins[2], types[1]), args=args, consts=(*e.consts, 3))


def taps_first(consts: Consts, ins: Types, outs: Types) -> Consts:
    """Depthwise weights [c, kh, kw, 1] as [kh, kw, c], so that neighbouring channels are neighbours."""
    return {**consts, "w": np.ascontiguousarray(consts["w"][:, :, :, 0].transpose(1, 2, 0))}


def patch(ins: Types, outs: Types, params: Params) -> int:
    """Bytes of the pixels under a filter."""
    return math.prod(ins[1].shape[1:])


def depthwise(ins: Types, outs: Types, params: Params) -> bool:
    """One filter per channel."""
    x, w = ins[0].shape, filters(ins).shape
    return w[3] == 1 and w[0] == x[3]


def pointwise(ins: Types, outs: Types, params: Params) -> bool:
    """A product of matrices: 1x1, stride 1, no groups."""
    return ins[0].shape[1:3] == outs[0].shape[1:3] and matmul(ins, outs, params)


def narrowing(ins: Types, outs: Types, params: Params) -> bool:
    """Pointwise, to no more channels: results may replace what they were made of."""
    return pointwise(ins, outs, params) and outs[0].shape[3] <= ins[0].shape[3]


def dense(ins: Types, outs: Types, params: Params) -> bool:
    """All input channels feed all output channels."""
    return filters(ins).shape[3] == ins[0].shape[3]


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
    return filters(ins).shape[1:] == (1, 1, ins[0].shape[3]) and not params["padded"]
