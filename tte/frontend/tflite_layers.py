"""TFLite operators that add up: convolutions, fully connected layers, pools, means, softmax. Floor 4."""

from __future__ import annotations

import numpy as np
import tflite

from tte.errors import BadModel, Unsupported
from tte.frontend.tflite_scope import Scope
from tte.ops.average_pool import AveragePool
from tte.ops.conv import Conv
from tte.ops.linear import Linear
from tte.ops.max_pool import MaxPool
from tte.ops.mean import Mean
from tte.ops.reshape import Reshape
from tte.ops.softmax import Softmax
from tte.ops.transpose import Transpose
from tte.types import Array, Value


def conv(m: Scope) -> Value:
    """Weights are OHWI as ours."""
    o = m.op.options(tflite.Conv2DOptions)
    weights = m.array(1)
    return _window(m, o, "", weights, 0)


def depthwise(m: Scope) -> Value:
    """Weights [1,kh,kw,c*m] become [c*m,kh,kw,1]; the multiplier follows from the shapes."""
    o = m.op.options(tflite.DepthwiseConv2DOptions)
    weights = m.array(1)
    if weights.ndim != 4 or weights.shape[0] != 1:
        raise BadModel(str(m.op), f"has weights of shape {list(weights.shape)}")
    return _window(m, o, "depthwise", np.ascontiguousarray(weights.transpose(3, 1, 2, 0)), 3)


def _window(
    m: Scope, o: tflite.Conv2DOptions | tflite.DepthwiseConv2DOptions, layout: str, weights: Array, axis: int
) -> Value:
    x = m.x()
    if weights.ndim != 4:
        raise BadModel(str(m.op), f"has weights of shape {list(weights.shape)}")
    stride, dilation = (o.StrideH(), o.StrideW()), (o.DilationHFactor(), o.DilationWFactor())
    size = tuple((k - 1) * d + 1 for k, d in zip(weights.shape[1:3], dilation, strict=True))
    w, b = m.layer(layout, weights, axis)
    pads = m.pads(o.Padding(), x.type, size, stride)
    return m.emit(Conv(stride, pads, dilation, *m.activation(o.FusedActivationFunction()), m.quant), x, w, b)


def linear(m: Scope) -> Value:
    """Leading dimensions are rows; the result keeps them if the file says so."""
    o = m.op.options(tflite.FullyConnectedOptions)
    if o.WeightsFormat() != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise Unsupported(str(m.op), "shuffled weights are not supported")
    x, weights = m.x(), m.array(1)
    if weights.ndim != 2 or x.type.size % weights.shape[1]:
        raise BadModel(str(m.op), f"weights of shape {list(weights.shape)} do not fit {x.type}")
    w, b = m.layer("", weights, 0)
    rows = (x.type.size // weights.shape[1], weights.shape[1])
    flat = x if x.type.shape == rows else m.emit(Reshape(rows), x)
    y = m.emit(Linear(*m.activation(o.FusedActivationFunction()), m.quant), flat, w, b)
    return _shaped(m, y)


def pool(m: Scope) -> Value:
    """Average or maximum."""
    o = m.op.options(tflite.Pool2DOptions)
    x, size, stride = m.x(), (o.FilterHeight(), o.FilterWidth()), (o.StrideH(), o.StrideW())
    pads = m.pads(o.Padding(), x.type, size, stride)
    low, high = m.activation(o.FusedActivationFunction())
    if m.op.name == "MAX_POOL_2D":
        return m.emit(MaxPool(size, stride, pads, low, high), x)
    return m.emit(AveragePool(size, stride, pads, low, high), x)


def mean(m: Scope) -> Value:
    """Axes that are not neighbours are moved to the end first."""
    o, x = m.op.options(tflite.ReducerOptions), m.x()
    rank = len(x.type.shape)
    axes = tuple(sorted({a + rank * (a < 0) for a in m.integers(1)}))
    if not axes or min(axes) < 0 or max(axes) >= rank:
        raise BadModel(str(m.op), f"has axes {list(axes)} for {x.type}")
    if axes[-1] - axes[0] >= len(axes):
        x = m.emit(Transpose((*(k for k in range(rank) if k not in axes), *axes)), x)
        axes = tuple(range(rank - len(axes), rank))
        return _shaped(m, m.emit(Mean(axes, False, m.quant), x))
    return m.emit(Mean(axes, bool(o.KeepDims()), m.quant), x)


def softmax(m: Scope) -> Value:
    """Along the last axis."""
    o = m.op.options(tflite.SoftmaxOptions)
    return m.emit(Softmax(o.Beta(), m.quant), m.x())


def _shaped(m: Scope, y: Value) -> Value:
    """`y` in the shape that the file states."""
    shape = m.type(m.op.outs[0]).shape
    return y if y.type.shape == shape else m.emit(Reshape(shape), y)
