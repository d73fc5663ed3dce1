"""A TFLite file as tensors and operators, checked: what the importer builds on. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import tflite
from flatbuffers.table import Table

from tte.errors import BadModel, Unsupported
from tte.types import Array, DType, Quant, TensorType

MOST_BYTES = 2**28
LEAST_SCALE = 1e-12  # so that products and ratios of scales are far from the limits of f32
DTYPES = {
    tflite.TensorType.FLOAT32: DType.F32,
    tflite.TensorType.FLOAT16: DType.F32,  # constants only, widened here
    tflite.TensorType.INT8: DType.S8,
    tflite.TensorType.UINT8: DType.U8,
    tflite.TensorType.INT16: DType.S16,
    tflite.TensorType.INT32: DType.S32,
    tflite.TensorType.INT64: DType.S64,
}
OPERATORS = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
TYPES = {v: k for k, v in vars(tflite.TensorType).items() if isinstance(v, int)}


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor of the file. `data` is its value where the file has one; `type` None means that tte has no such type."""

    name: str
    type: TensorType | None
    stated: str  # the type as the file calls it
    data: Array | None
    dynamic: bool  # a dimension other than the batch is not known


class Options(Protocol):
    """An options table of the schema."""

    def Init(self, buf: bytes, pos: int) -> None:  # noqa: N802, D102
        ...


O = TypeVar("O", bound=Options)  # noqa: E741


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """An operator of the file: its name in the schema, its tensors (-1: left out), and its options."""

    name: str
    number: int
    ins: tuple[int, ...]
    outs: tuple[int, ...]
    table: Table | None
    kind: int

    def __str__(self) -> str:
        return f"{self.name} #{self.number}"

    def options(self, cls: type[O]) -> O:
        """Its options, which must be of the class that belongs to the operator."""
        if self.table is None or self.kind != getattr(tflite.BuiltinOptions, cls.__name__):
            raise BadModel(str(self), f"has no {cls.__name__}")
        found = cls()
        found.Init(self.table.Bytes, self.table.Pos)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class File:
    """The first subgraph of a model."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    ins: tuple[int, ...]
    outs: tuple[int, ...]


def read(data: bytes) -> File:
    """Parse a file. Beside BadModel and Unsupported it raises whatever flatbuffers does on a malformed file."""
    if data[4:8] != b"TFL3":
        raise BadModel("file", "is not a TFLite model", "its bytes 4 to 7 are not TFL3")
    model = tflite.Model.GetRootAsModel(data, 0)
    if model.SubgraphsLength() != 1:
        raise Unsupported(
            "file", f"{model.SubgraphsLength()} subgraphs; tte compiles one", "control flow is not supported"
        )
    graph = _there(model.Subgraphs(0))
    tensors = tuple(_tensor(model, _there(graph.Tensors(i)), i) for i in range(graph.TensorsLength()))
    operators = tuple(_operator(model, _there(graph.Operators(i)), i) for i in range(graph.OperatorsLength()))
    ins = tuple(graph.Inputs(i) for i in range(graph.InputsLength()))
    outs = tuple(graph.Outputs(i) for i in range(graph.OutputsLength()))
    for i in (*ins, *outs, *(i for o in operators for i in (*o.ins, *o.outs) if i != -1)):
        if not 0 <= i < len(tensors):
            raise BadModel("file", f"names tensor {i} of {len(tensors)}")
    return File(tensors, operators, ins, outs)


def _there(table: O | None) -> O:
    """A table that the schema requires."""
    if table is None:
        raise BadModel("file", "leaves out a table")
    return table


def _tensor(model: tflite.Model, t: tflite.Tensor, number: int) -> Tensor:
    name = (t.Name() or b"").decode(errors="replace") or f"tensor {number}"
    stated = TYPES.get(t.Type(), f"type {t.Type()}")
    shape = tuple(t.Shape(i) for i in range(t.ShapeLength()))
    signature = [t.ShapeSignature(i) for i in range(t.ShapeSignatureLength())]
    dynamic = min([*shape, *signature[1:]], default=1) < 0
    if t.Sparsity() is not None or t.IsVariable():
        raise Unsupported(name, "sparse tensors and variables are not supported")
    if len(shape) > 8 or any(d > MOST_BYTES for d in shape):
        raise BadModel(name, f"has the shape {list(shape)[:9]}")
    dtype = DTYPES.get(t.Type())
    if dtype is None or dynamic or t.Type() == tflite.TensorType.STRING:
        return Tensor(name, None, stated, None, dynamic)
    kind = TensorType(shape, dtype, _quant(name, t, dtype, shape))
    if kind.bytes > MOST_BYTES:
        raise BadModel(name, f"{kind} is larger than 256 MB")
    data = _data(model, t, name, kind)
    half = t.Type() == tflite.TensorType.FLOAT16
    return Tensor(name, None if half and data is None else kind, stated, data, dynamic)


def _data(model: tflite.Model, t: tflite.Tensor, name: str, kind: TensorType) -> Array | None:
    """The constant's value, None if it has none."""
    if not 0 <= t.Buffer() < model.BuffersLength():
        raise BadModel(name, f"names buffer {t.Buffer()} of {model.BuffersLength()}")
    buffer = _there(model.Buffers(t.Buffer()))
    if buffer.DataIsNone() or (buffer.DataLength() == 0 and kind.size):
        return None
    stored = np.dtype(np.float16) if t.Type() == tflite.TensorType.FLOAT16 else kind.dtype.numpy
    if buffer.DataLength() != kind.size * stored.itemsize:
        raise BadModel(name, f"{kind} has {kind.size * stored.itemsize} bytes, its buffer {buffer.DataLength()}")
    value: Array = np.asarray(buffer.DataAsNumpy()).view(stored).reshape(kind.shape)
    if kind.dtype is DType.F32 and not np.isfinite(value).all():
        raise BadModel(name, "holds infinity or NaN")
    return value.astype(kind.dtype.numpy)


def _quant(name: str, t: tflite.Tensor, dtype: DType, shape: tuple[int, ...]) -> Quant | None:
    """The quantisation of an s8 or u8 tensor; other integers (biases, shapes) carry none in the IR."""
    q = t.Quantization()
    if q is None or q.ScaleLength() == 0 or dtype not in (DType.S8, DType.U8):
        return None
    scale = tuple(q.Scale(i) for i in range(q.ScaleLength()))
    zeros = {q.ZeroPoint(i) for i in range(q.ZeroPointLength())} or {0}
    limits = np.iinfo(dtype.numpy)
    for s in scale:
        if not LEAST_SCALE < s < 1 / LEAST_SCALE:
            raise BadModel(name, f"the scale {s:g} is not between {LEAST_SCALE:g} and {1 / LEAST_SCALE:g}")
    if len(zeros) != 1 or not limits.min <= min(zeros) <= limits.max:
        raise BadModel(name, f"the zero points {sorted(zeros)[:4]} are not one {dtype.label}")
    if len(scale) == 1:
        return Quant(scale, zeros.pop())
    axis = q.QuantizedDimension()
    if not 0 <= axis < len(shape) or shape[axis] != len(scale):
        raise BadModel(name, f"has {len(scale)} scales along axis {axis} of {list(shape)}")
    return Quant(scale, zeros.pop(), axis)


def _operator(model: tflite.Model, o: tflite.Operator, number: int) -> Operator:
    if not 0 <= o.OpcodeIndex() < model.OperatorCodesLength():
        raise BadModel(f"operator {number}", f"names code {o.OpcodeIndex()} of {model.OperatorCodesLength()}")
    code = _there(model.OperatorCodes(o.OpcodeIndex()))
    value = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = OPERATORS.get(value, f"operator {value}")
    if value == tflite.BuiltinOperator.CUSTOM:
        name = "CUSTOM " + (code.CustomCode() or b"").decode(errors="replace")
    ins = tuple(o.Inputs(i) for i in range(o.InputsLength()))
    outs = tuple(o.Outputs(i) for i in range(o.OutputsLength()))
    return Operator(name, number, ins, outs, o.BuiltinOptions(), o.BuiltinOptionsType())
