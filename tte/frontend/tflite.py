"""TFLite models as modules: one function per operator. Numbers are those of LiteRT's reference kernels. Floor 4."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import tflite

from tte.errors import BadModel, TteError, Unsupported
from tte.frontend.tflite_file import read
from tte.frontend.tflite_scope import Handler, Scope
from tte.ir import Module
from tte.ops.add import Add, Sub
from tte.ops.average_pool import AveragePool
from tte.ops.clamp import Clamp
from tte.ops.concat import Concat
from tte.ops.conv import Conv
from tte.ops.dequantize import Dequantize
from tte.ops.hard_swish import HardSwish
from tte.ops.leaky_relu import LeakyRelu
from tte.ops.linear import Linear
from tte.ops.max_pool import MaxPool
from tte.ops.mean import Mean
from tte.ops.mul import Mul
from tte.ops.pad import Pad
from tte.ops.quantize import Quantize
from tte.ops.requantize import Requantize
from tte.ops.reshape import Reshape
from tte.ops.resize_nearest import ResizeNearest
from tte.ops.sigmoid import Sigmoid
from tte.ops.softmax import Softmax
from tte.ops.tanh import Tanh
from tte.ops.transpose import Transpose
from tte.types import Array, DType, Quant, TensorType, Value

F32, S8, U8 = DType.F32, DType.S8, DType.U8
MALFORMED = (
    struct.error,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


def import_tflite(source: Path | str | bytes, name: str = "") -> Module:
    """The module of a file, or of its bytes; `name` defaults to the file's. All that is wrong with it is a TteError."""
    path = "model" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise TteError(path, f"cannot be read: {error.strerror}") from error
    try:
        return Scope(read(data), HANDLERS).module(name or Path(path).stem)
    except MALFORMED as error:
        raise BadModel(path, "is not a valid TFLite model", "an offset, a length or a number in it is wrong") from error
    except TteError as error:
        raise type(error)(path, str(error)) from error


def _conv(m: Scope) -> Value:
    """Weights are OHWI as ours."""
    o = m.op.options(tflite.Conv2DOptions)
    weights = m.array(1)
    return _window(m, o, "", weights, 0)


def _depthwise(m: Scope) -> Value:
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


def _linear(m: Scope) -> Value:
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


def _shaped(m: Scope, y: Value) -> Value:
    """`y` in the shape that the file states."""
    shape = m.type(m.op.outs[0]).shape
    return y if y.type.shape == shape else m.emit(Reshape(shape), y)


def _pool(m: Scope) -> Value:
    o = m.op.options(tflite.Pool2DOptions)
    x, size, stride = m.x(), (o.FilterHeight(), o.FilterWidth()), (o.StrideH(), o.StrideW())
    pads = m.pads(o.Padding(), x.type, size, stride)
    low, high = m.activation(o.FusedActivationFunction())
    if m.op.name == "MAX_POOL_2D":
        return m.emit(MaxPool(size, stride, pads, low, high), x)
    return m.emit(AveragePool(size, stride, pads, low, high), x)


def _reshape(m: Scope) -> Value:
    """The shape is that of the result, wherever the file got it from."""
    return m.emit(Reshape(m.type(m.op.outs[0]).shape), m.x())


def _softmax(m: Scope) -> Value:
    o = m.op.options(tflite.SoftmaxOptions)
    return m.emit(Softmax(o.Beta(), m.quant), m.x())


def _add(m: Scope) -> Value:
    options, cls = (tflite.AddOptions, Add) if m.op.name == "ADD" else (tflite.SubOptions, Sub)
    o = m.op.options(options)
    return m.emit(cls(*m.activation(o.FusedActivationFunction()), m.quant), m.x(), m.x(1))


def _mul(m: Scope) -> Value:
    o = m.op.options(tflite.MulOptions)
    return m.emit(Mul(*m.activation(o.FusedActivationFunction()), m.quant), m.x(), m.x(1))


def _concat(m: Scope) -> Value:
    o = m.op.options(tflite.ConcatenationOptions)
    if m.activation(o.FusedActivationFunction()) != m.activation(0):
        raise Unsupported(str(m.op), "a fused activation is not supported")
    rank = len(m.type(m.op.outs[0]).shape)
    return m.emit(Concat(o.Axis() + rank * (o.Axis() < 0)), *(m.x(i) for i in range(len(m.op.ins))))


def _pad(m: Scope) -> Value:
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


def _transpose(m: Scope) -> Value:
    return m.emit(Transpose(m.integers(1)), m.x())


def _mean(m: Scope) -> Value:
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


def _resize(m: Scope) -> Value:
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


def _quantize(m: Scope) -> Value:
    """From f32, or from another scale; u8 is s8 with its zero point moved."""
    x, y = m.x(0, (F32, S8, U8)), m.type(m.op.outs[0])
    if y.quant is None or y.dtype not in (S8, U8):
        raise Unsupported(str(m.op), f"to {m.out.stated} is not supported", "to int8 or uint8")
    if x.type.dtype is F32 and y.dtype is S8:
        return m.emit(Quantize(y.quant), x)
    if x.type.dtype is F32:
        x = m.emit(Quantize(Quant(y.quant.scale, y.quant.zero - 128)), x)
    return m.emit(Requantize(y.quant, dtype=y.dtype), x)


def _dequantize(m: Scope) -> Value:
    """To f32; constants (weights in half precision or int8) at once."""
    kind = m.type(m.op.ins[0]) if m.op.ins else None
    if kind is not None and m.file.tensors[m.op.ins[0]].data is not None:
        return m.fold(_real(m.array(0), kind))
    x = m.x(0, (S8, U8))
    if x.type.dtype is U8:
        x = m.emit(Requantize(Quant(x.type.scaling.scale, x.type.scaling.zero - 128)), x)
    return m.emit(Dequantize(), x)


def _real(value: Array, kind: TensorType) -> Array:
    """What a constant stands for, in f32."""
    if kind.quant is None:
        return value.astype(np.float32)
    scale = np.asarray(kind.quant.scale, np.float32)
    if kind.quant.axis is not None:
        scale = scale.reshape([-1 if k == kind.quant.axis else 1 for k in range(value.ndim)])
    real: Array = (value.astype(np.int32) - kind.quant.zero).astype(np.float32) * scale
    return real


def _unary(m: Scope) -> Value:
    """Activations that are operators of their own."""
    x, q = m.x(), m.quant
    match m.op.name:
        case "LOGISTIC":
            return m.emit(Sigmoid(q), x)
        case "TANH":
            return m.emit(Tanh(q), x)
        case "HARD_SWISH":
            return m.emit(HardSwish(q), x)
        case "LEAKY_RELU":
            alpha = m.op.options(tflite.LeakyReluOptions).Alpha()
            if not abs(alpha) < 1e6:
                raise BadModel(str(m.op), f"has alpha {alpha:g}")
            return m.emit(LeakyRelu(alpha, q), x)
        case name:
            low, high = {"RELU": (0.0, np.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}[name]
            return m.emit(Clamp(low, high, q), x)


HANDLERS: dict[str, Handler] = {
    "ADD": _add,
    "AVERAGE_POOL_2D": _pool,
    "CONCATENATION": _concat,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEQUANTIZE": _dequantize,
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": _linear,
    "MAX_POOL_2D": _pool,
    "MEAN": _mean,
    "MUL": _mul,
    "PAD": _pad,
    "PADV2": _pad,
    "QUANTIZE": _quantize,
    "RESHAPE": _reshape,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SOFTMAX": _softmax,
    "SQUEEZE": _reshape,
    "SUB": _add,
    "TRANSPOSE": _transpose,
    **dict.fromkeys(("HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "RELU", "RELU6", "RELU_N1_TO_1", "TANH"), _unary),
}
