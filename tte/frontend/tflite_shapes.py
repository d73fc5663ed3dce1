"""TFLite operators that only move elements, and arithmetic of shapes, which is done here. Floor 4."""

from __future__ import annotations

import numpy as np
import tflite

from tte.errors import BadModel, Unsupported
from tte.frontend.tflite_scope import Scope
from tte.ops.concat import Concat
from tte.ops.pad import Pad
from tte.ops.reshape import Reshape
from tte.ops.resize_nearest import ResizeNearest
from tte.ops.transpose import Transpose
from tte.types import Value


def reshape(m: Scope) -> Value:
    """The shape is that of the result, wherever the file got it from."""
    return m.emit(Reshape(m.type(m.op.outs[0]).shape), m.x())


def concat(m: Scope) -> Value:
    """Without a fused activation, which no converter writes."""
    o = m.op.options(tflite.ConcatenationOptions)
    if m.activation(o.FusedActivationFunction()) != m.activation(0):
        raise Unsupported(str(m.op), "a fused activation is not supported")
    rank = len(m.type(m.op.outs[0]).shape)
    return m.emit(Concat(o.Axis() + rank * (o.Axis() < 0)), *(m.x(i) for i in range(len(m.op.ins))))


def pad(m: Scope) -> Value:
    """The border of PAD is zero, that of PADV2 one element."""
    x, widths = m.x(), m.array(1).astype(np.int64)
    if widths.shape != (len(x.type.shape), 2):
        raise BadModel(str(m.op), f"has paddings of shape {list(widths.shape)} for {x.type}")
    before, after = (tuple(int(v) for v in column) for column in widths.T)
    value = 0.0
    if m.op.name == "PADV2":
        value = float(m.array(2).astype(np.float64).item())
        if x.type.quant is not None:
            value = (value - x.type.quant.zero) * x.type.quant.scale[0]
    return m.emit(Pad(before, after, value), x)


def transpose(m: Scope) -> Value:
    """The order is a constant."""
    return m.emit(Transpose(m.integers(1)), m.x())


def resize(m: Scope) -> Value:
    """The neighbour of LiteRT: in f32, rounded if corners are aligned, else cut."""
    o, x = m.op.options(tflite.ResizeNearestNeighborOptions), m.x()
    y = m.type(m.op.outs[0]).shape
    if len(x.type.shape) != 4 or len(y) != 4:
        raise BadModel(str(m.op), f"{x.type} must have four dimensions")

    def nearest(n: int, size: int) -> tuple[int, ...]:
        corners = o.AlignCorners() and size > 1
        scale = np.float32(n - 1) / np.float32(size - 1) if corners else np.float32(n) / np.float32(size)
        at = (np.arange(size, dtype=np.float32) + np.float32(0.5 * o.HalfPixelCenters())) * scale
        found = np.floor(at + np.float32(0.5)) if o.AlignCorners() else np.floor(at)
        return tuple(int(v) for v in np.clip(found, 0, n - 1))

    return m.emit(ResizeNearest(nearest(x.type.shape[1], y[1]), nearest(x.type.shape[2], y[2])), x)


def shape(m: Scope) -> Value:
    """Shapes are known."""
    return m.fold(np.array(m.type(m.index(0)).shape, m.type(m.op.outs[0]).dtype.numpy))


def pack(m: Scope) -> Value:
    """Constants, stacked along a new axis: parts of a shape."""
    axis = m.op.options(tflite.PackOptions).Axis()
    return m.fold(np.stack([m.array(i) for i in range(len(m.op.ins))], axis))


def strided_slice(m: Scope) -> Value:
    """Of a constant: a part of a shape."""
    o, x = m.op.options(tflite.StridedSliceOptions), m.array(0)
    if o.EllipsisMask() or o.NewAxisMask():
        raise Unsupported(str(m.op), "ellipsis and new axes are not supported")
    index: list[slice | int] = []
    for k, (begin, end, step) in enumerate(zip(m.integers(1), m.integers(2), m.integers(3), strict=True)):
        if o.ShrinkAxisMask() >> k & 1:
            index.append(begin)
        else:
            index.append(slice(None if o.BeginMask() >> k & 1 else begin, None if o.EndMask() >> k & 1 else end, step))
    return m.fold(np.asarray(x[tuple(index)]))
