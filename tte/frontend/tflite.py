"""TFLite models as modules: one function per operator. Numbers are those of LiteRT's reference kernels. Floor 5."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import tflite

from tte.errors import BadModel, TteError, Unsupported
from tte.frontend import tflite_layers as layers
from tte.frontend import tflite_shapes as shapes
from tte.frontend.tflite_file import read
from tte.frontend.tflite_scope import Handler, Scope
from tte.ir import Module
from tte.ops.add import Add, Sub
from tte.ops.clamp import Clamp
from tte.ops.dequantize import Dequantize
from tte.ops.hard_swish import HardSwish
from tte.ops.leaky_relu import LeakyRelu
from tte.ops.mul import Mul
from tte.ops.quantize import Quantize
from tte.ops.requantize import Requantize
from tte.ops.sigmoid import Sigmoid
from tte.ops.tanh import Tanh
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


def _add(m: Scope) -> Value:
    options, cls = (tflite.AddOptions, Add) if m.op.name == "ADD" else (tflite.SubOptions, Sub)
    o = m.op.options(options)
    return m.emit(cls(*m.activation(o.FusedActivationFunction()), m.quant), m.x(), m.x(1))


def _mul(m: Scope) -> Value:
    o = m.op.options(tflite.MulOptions)
    return m.emit(Mul(*m.activation(o.FusedActivationFunction()), m.quant), m.x(), m.x(1))


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
    "AVERAGE_POOL_2D": layers.pool,
    "CONCATENATION": shapes.concat,
    "CONV_2D": layers.conv,
    "DEPTHWISE_CONV_2D": layers.depthwise,
    "DEQUANTIZE": _dequantize,
    "EXPAND_DIMS": shapes.reshape,
    "FULLY_CONNECTED": layers.linear,
    "MAX_POOL_2D": layers.pool,
    "MEAN": layers.mean,
    "MUL": _mul,
    "PACK": shapes.pack,
    "PAD": shapes.pad,
    "PADV2": shapes.pad,
    "QUANTIZE": _quantize,
    "RESHAPE": shapes.reshape,
    "RESIZE_NEAREST_NEIGHBOR": shapes.resize,
    "SHAPE": shapes.shape,
    "SOFTMAX": layers.softmax,
    "SQUEEZE": shapes.reshape,
    "STRIDED_SLICE": shapes.strided_slice,
    "SUB": _add,
    "TRANSPOSE": shapes.transpose,
    **dict.fromkeys(("HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "RELU", "RELU6", "RELU_N1_TO_1", "TANH"), _unary),
}
