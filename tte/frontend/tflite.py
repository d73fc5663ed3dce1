"""TFLite models as modules: one function per operator. Numbers are those of LiteRT's reference kernels. Floor 4."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tflite
from tflite import ActivationFunctionType as Activation

from tte.errors import BadModel, TteError, Unsupported
from tte.frontend.tflite_file import File, Operator, Tensor, read
from tte.ir import Builder, Module, identifier
from tte.op import Op
from tte.ops.add import Add, Sub
from tte.ops.average_pool import AveragePool
from tte.ops.conv import Conv
from tte.ops.linear import Linear
from tte.ops.max_pool import MaxPool
from tte.ops.reshape import Reshape
from tte.ops.softmax import Softmax
from tte.types import Array, DType, Quant, TensorType, Value

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
RANGES = {
    Activation.NONE: (-math.inf, math.inf),
    Activation.RELU: (0.0, math.inf),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
    Activation.RELU6: (0.0, 6.0),
}


def import_tflite(source: Path | str | bytes, name: str = "") -> Module:
    """The module of a file, or of its bytes; `name` defaults to the file's. All that is wrong with it is a TteError."""
    path = "model" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise TteError(path, f"cannot be read: {error.strerror}") from error
    try:
        return _Importer(read(data)).module(name or Path(path).stem)
    except MALFORMED as error:
        raise BadModel(path, "is not a valid TFLite model", type(error).__name__) from error
    except TteError as error:
        raise type(error)(path, str(error)) from error


class _Importer:
    """Grows one graph; `values` are the tensors that are known so far."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.b = Builder("infer")
        self.values: dict[int, Value] = {}
        self.constants: dict[tuple[int, str], Value] = {}
        self.op = Operator("", 0, (), (), None, 0)

    def module(self, name: str) -> Module:
        """Convert inputs, then every operator in the order of the file."""
        for i in self.file.ins:
            self.values[i] = self.b.input(self.file.tensors[i].name, self.type(i))
        for op in self.file.operators:
            self.op = op
            handler = HANDLERS.get(self.op.name)
            if handler is None:
                known = ", ".join(sorted(HANDLERS))
                raise Unsupported(
                    f"{self.op} {self.out.name!r}", f"{self.op.name} is not supported", f"tte knows {known}"
                )
            if len(self.op.outs) != 1:
                raise BadModel(str(self.op), f"has {len(self.op.outs)} outputs, not 1")
            self.define(handler(self))
        for i in self.file.outs:
            if i not in self.values or i in self.file.ins:
                raise Unsupported(self.file.tensors[i].name, "an output that no operator computes")
        graph = self.b.finish(*(self.values[i] for i in self.file.outs))
        return Module(identifier(name), tuple(self.b.states), (graph,))

    def define(self, value: Value) -> None:
        """`value` is the current operator's result; the file must agree about its type."""
        i = self.op.outs[0]
        if value.type != self.type(i):
            raise BadModel(f"{self.op} {self.out.name!r}", f"gives {value.type}, but the file says {self.type(i)}")
        if i in self.values or self.file.tensors[i].data is not None:
            raise BadModel(str(self.op), f"{self.out.name!r} is computed twice")
        self.values[i] = value

    @property
    def out(self) -> Tensor:
        """The current operator's first result."""
        return self.file.tensors[self.op.outs[0]] if self.op.outs else Tensor("?", None, "", None, False)

    def type(self, i: int) -> TensorType:
        """The type of a tensor that tte can hold."""
        t = self.file.tensors[i]
        if t.dynamic:
            raise Unsupported(t.name, "has dimensions that are not known", "export the model with fixed shapes")
        if t.type is None:
            raise Unsupported(t.name, f"elements of type {t.stated} are not supported")
        if 0 in t.type.shape:
            raise Unsupported(t.name, "has no elements")
        return t.type

    def has(self, position: int) -> bool:
        """True if the operator has an input there."""
        return position < len(self.op.ins) and self.op.ins[position] != -1

    def index(self, position: int) -> int:
        """The tensor at an input, which must be there."""
        if not self.has(position):
            raise BadModel(str(self.op), f"has no input {position}")
        return self.op.ins[position]

    def x(self, position: int = 0) -> Value:
        """An input of the operator as a value."""
        i = self.index(position)
        tensor = self.file.tensors[i]
        if i not in self.values and tensor.data is None:
            raise BadModel(str(self.op), f"reads {tensor.name!r} before it is computed")
        return self.values[i] if i in self.values else self.constant(position, "", tensor.data)

    def array(self, position: int) -> Array:
        """An input that must be a constant."""
        tensor = self.file.tensors[self.index(position)]
        if tensor.data is None:
            raise Unsupported(str(self.op), f"{tensor.name!r} must be a constant")
        return tensor.data

    def constant(self, position: int, layout: str, value: Array | None, type: TensorType | None = None) -> Value:
        """An input's value in some layout, as a state that all its readers share."""
        i = self.index(position)
        if (i, layout) not in self.constants:
            array = self.array(position) if value is None else value
            self.constants[i, layout] = self.b.constant(self.file.tensors[i].name, type or self.type(i), array)
        return self.constants[i, layout]

    def emit(self, op: Op, *ins: Value) -> Value:
        """Append a node; what it refuses is reported by the operator's name."""
        try:
            return self.b.emit(op, *ins, name=self.out.name, source=str(self.op))[0]
        except TteError as error:
            raise type(error)(f"{self.op} {self.out.name!r}", str(error)) from error

    @property
    def quant(self) -> Quant | None:
        """The quantisation of the result."""
        return self.type(self.op.outs[0]).quant

    def activation(self, kind: int) -> tuple[float, float]:
        """The range of a fused activation."""
        if kind not in RANGES:
            raise Unsupported(
                str(self.op), f"fused activation {kind} is not supported", "NONE, RELU, RELU6, RELU_N1_TO_1"
            )
        return RANGES[kind]

    def pads(
        self, kind: int, x: TensorType, size: tuple[int, ...], stride: tuple[int, ...]
    ) -> tuple[int, int, int, int]:
        """Top, left, bottom, right of SAME or VALID; `size` is that of the dilated window."""
        if min(*size, *stride) < 1:
            raise BadModel(str(self.op), f"window {size} with stride {stride}")
        if kind == tflite.Padding.VALID:
            return 0, 0, 0, 0
        if len(x.shape) != 4:
            raise BadModel(str(self.op), f"{x} must have four dimensions")
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(x.shape[1:3], size, stride, strict=True)]
        return total[0] // 2, total[1] // 2, -(-total[0] // 2), -(-total[1] // 2)

    def layer(self, layout: str, weights: Array, axis: int) -> tuple[Value, Value]:
        """The weights of a layer with output channels first, and its bias, zeros where the file has none."""
        x, kind = self.x().type, self.type(self.index(1))
        if (x.dtype, kind.dtype) not in ((DType.F32, DType.F32), (DType.S8, DType.S8)):
            raise Unsupported(
                str(self.op), f"{x.dtype.label} by {kind.dtype.label} is not supported", "f32 by f32, s8 by s8"
            )
        quant = kind.quant
        if quant and quant.axis is not None:
            if quant.axis != axis:
                raise Unsupported(str(self.op), f"weights scaled along axis {quant.axis}")
            quant = Quant(quant.scale, quant.zero, 0)
        w = self.constant(1, layout, weights, TensorType(weights.shape, kind.dtype, quant))
        bias = TensorType(weights.shape[:1], DType.F32 if x.dtype is DType.F32 else DType.S32)
        if not self.has(2):
            return w, self.b.constant(f"{self.out.name} bias", bias, np.zeros(bias.shape, bias.dtype.numpy))
        if self.type(self.index(2)).dtype is not bias.dtype:
            raise Unsupported(str(self.op), f"a bias of type {self.file.tensors[self.index(2)].stated}")
        return w, self.constant(2, "bias", self.array(2).reshape(-1), bias)


def _conv(m: _Importer) -> Value:
    """Weights are OHWI as ours."""
    o = m.op.options(tflite.Conv2DOptions)
    weights = m.array(1)
    return _window(m, o, "", weights, 0)


def _depthwise(m: _Importer) -> Value:
    """Weights [1,kh,kw,c*m] become [c*m,kh,kw,1]; the multiplier follows from the shapes."""
    o = m.op.options(tflite.DepthwiseConv2DOptions)
    weights = m.array(1)
    if weights.ndim != 4 or weights.shape[0] != 1:
        raise BadModel(str(m.op), f"has weights of shape {list(weights.shape)}")
    return _window(m, o, "depthwise", np.ascontiguousarray(weights.transpose(3, 1, 2, 0)), 3)


def _window(
    m: _Importer, o: tflite.Conv2DOptions | tflite.DepthwiseConv2DOptions, layout: str, weights: Array, axis: int
) -> Value:
    x = m.x()
    if weights.ndim != 4:
        raise BadModel(str(m.op), f"has weights of shape {list(weights.shape)}")
    stride, dilation = (o.StrideH(), o.StrideW()), (o.DilationHFactor(), o.DilationWFactor())
    size = tuple((k - 1) * d + 1 for k, d in zip(weights.shape[1:3], dilation, strict=True))
    w, b = m.layer(layout, weights, axis)
    pads = m.pads(o.Padding(), x.type, size, stride)
    return m.emit(Conv(stride, pads, dilation, *m.activation(o.FusedActivationFunction()), m.quant), x, w, b)


def _linear(m: _Importer) -> Value:
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


def _shaped(m: _Importer, y: Value) -> Value:
    """`y` in the shape that the file states."""
    shape = m.type(m.op.outs[0]).shape
    return y if y.type.shape == shape else m.emit(Reshape(shape), y)


def _pool(m: _Importer) -> Value:
    o = m.op.options(tflite.Pool2DOptions)
    x, size, stride = m.x(), (o.FilterHeight(), o.FilterWidth()), (o.StrideH(), o.StrideW())
    pads = m.pads(o.Padding(), x.type, size, stride)
    low, high = m.activation(o.FusedActivationFunction())
    if m.op.name == "MAX_POOL_2D":
        return m.emit(MaxPool(size, stride, pads, low, high), x)
    return m.emit(AveragePool(size, stride, pads, low, high), x)


def _reshape(m: _Importer) -> Value:
    """The shape is that of the result, wherever the file got it from."""
    return m.emit(Reshape(m.type(m.op.outs[0]).shape), m.x())


def _softmax(m: _Importer) -> Value:
    o = m.op.options(tflite.SoftmaxOptions)
    return m.emit(Softmax(o.Beta(), m.quant), m.x())


def _add(m: _Importer) -> Value:
    o = m.op.options(tflite.AddOptions if m.op.name == "ADD" else tflite.SubOptions)
    cls = Add if m.op.name == "ADD" else Sub
    return m.emit(cls(*m.activation(o.FusedActivationFunction()), m.quant), m.x(), m.x(1))


HANDLERS: dict[str, Callable[[_Importer], Value]] = {
    "ADD": _add,
    "AVERAGE_POOL_2D": _pool,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": _linear,
    "MAX_POOL_2D": _pool,
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
    "SQUEEZE": _reshape,
    "SUB": _add,
}
