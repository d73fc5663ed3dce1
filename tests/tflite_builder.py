"""Builds small TFLite files, so that single operators can be compared with LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import flatbuffers
import numpy as np
import tflite

from tte.types import Array

TYPES = {
    np.dtype(k): getattr(tflite.TensorType, v)
    for k, v in {
        "f2": "FLOAT16",
        "f4": "FLOAT32",
        "i1": "INT8",
        "u1": "UINT8",
        "i2": "INT16",
        "i4": "INT32",
        "i8": "INT64",
    }.items()
}


@dataclass(frozen=True)
class T:
    """A tensor; with `data` a constant. Scales are one or, along `axis`, several."""

    shape: tuple[int, ...]
    dtype: str = "i1"
    scale: float | Sequence[float] = ()
    zero: int = 0
    axis: int = 0
    data: Array | None = None
    name: str = ""

    @staticmethod
    def constant(data: Array, scale: float | Sequence[float] = (), zero: int = 0, axis: int = 0) -> T:
        return T(data.shape, data.dtype.str[1:], scale, zero, axis, data)


@dataclass(frozen=True)
class Op:
    """An operator: its name in the schema, its tensors by number, the name of its options' class and their fields."""

    name: str
    ins: Sequence[int]
    outs: Sequence[int]
    options: str = ""
    fields: dict[str, float] = field(default_factory=dict)


def build(tensors: Sequence[T], ops: Sequence[Op], ins: Sequence[int], outs: Sequence[int]) -> bytes:
    """The file's bytes."""
    b = flatbuffers.Builder(1024)
    buffers = [_buffer(b, None)] + [_buffer(b, t.data) for t in tensors if t.data is not None]
    order = [i for i, t in enumerate(tensors) if t.data is not None]
    made = [_tensor(b, t, f"t{i}", order.index(i) + 1 if i in order else 0) for i, t in enumerate(tensors)]
    names = sorted({op.name for op in ops})
    codes = [_code(b, name) for name in names]
    operators = [_operator(b, op, names.index(op.name)) for op in ops]
    graph = _table(
        b,
        "SubGraph",
        Tensors=_offsets(b, made),
        Inputs=_ints(b, ins),
        Outputs=_ints(b, outs),
        Operators=_offsets(b, operators),
    )
    fields = {"OperatorCodes": _offsets(b, codes), "Subgraphs": _offsets(b, [graph]), "Buffers": _offsets(b, buffers)}
    b.Finish(_table(b, "Model", Version=3, **fields), b"TFL3")
    return bytes(b.Output())


@dataclass(frozen=True)
class Single:
    """A model of one operator, whose inputs without data are the model's."""

    name: str
    ins: Sequence[T]
    out: T
    options: str
    fields: dict[str, float]

    def build(self) -> bytes:
        given = [i for i, t in enumerate(self.ins) if t.data is None]
        op = Op(self.name, range(len(self.ins)), [len(self.ins)], self.options, self.fields)
        return build([*self.ins, self.out], [op], given, [len(self.ins)])

    def in_floats(self) -> Single:
        """The same with f32 instead of s8, and of s32 biases; constants keep what they stand for."""
        return replace(self, ins=[_real(t) for t in self.ins], out=_real(self.out))


def single(name: str, ins: Sequence[T], out: T, options: str = "", **fields: float) -> Single:
    return Single(name, ins, out, options, fields)


def _real(t: T) -> T:
    scales = np.atleast_1d(np.asarray(t.scale, np.float32))
    if not scales.size:
        return t
    data = t.data
    if data is not None:
        shape = [-1 if k == t.axis and scales.size > 1 else 1 for k in range(data.ndim)]
        data = (data.astype(np.float32) - t.zero) * scales.reshape(shape)
    return T(t.shape, "f4", data=None if data is None else data.astype(np.float32))


def _table(b: flatbuffers.Builder, name: str, **fields: float) -> int:
    getattr(tflite, f"{name}Start")(b)
    for key, value in fields.items():
        getattr(tflite, f"{name}Add{key}")(b, value)
    end: int = getattr(tflite, f"{name}End")(b)
    return end


def _offsets(b: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for o in reversed(offsets):
        b.PrependUOffsetTRelative(o)
    end: int = b.EndVector()
    return end


def _ints(b: flatbuffers.Builder, values: Sequence[int]) -> int:
    end: int = b.CreateNumpyVector(np.array(values, np.int32))
    return end


def _buffer(b: flatbuffers.Builder, data: Array | None) -> int:
    if data is None:
        return _table(b, "Buffer")
    raw = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
    b.StartVector(1, raw.size, 16)
    b.head -= raw.size
    b.Bytes[b.head : b.head + raw.size] = raw.tobytes()
    return _table(b, "Buffer", Data=b.EndVector())


def _tensor(b: flatbuffers.Builder, t: T, name: str, buffer: int) -> int:
    scales = np.atleast_1d(np.asarray(t.scale, np.float32))
    fields: dict[str, float] = {"Name": b.CreateString(t.name or name), "Shape": _ints(b, t.shape), "Buffer": buffer}
    if scales.size:
        zeros = b.CreateNumpyVector(np.full(scales.size, t.zero, np.int64))
        parts = {"Scale": b.CreateNumpyVector(scales), "ZeroPoint": zeros, "QuantizedDimension": t.axis}
        fields["Quantization"] = _table(b, "QuantizationParameters", **parts)
    return _table(b, "Tensor", Type=TYPES[np.dtype(t.dtype)], **fields)


def _code(b: flatbuffers.Builder, name: str) -> int:
    code = getattr(tflite.BuiltinOperator, name)
    return _table(b, "OperatorCode", DeprecatedBuiltinCode=min(code, 127), BuiltinCode=code, Version=1)


def _operator(b: flatbuffers.Builder, op: Op, code: int) -> int:
    fields: dict[str, float] = {"OpcodeIndex": code, "Inputs": _ints(b, op.ins), "Outputs": _ints(b, op.outs)}
    if op.options:
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, op.options)
        fields["BuiltinOptions"] = _table(b, op.options, **op.fields)
    return _table(b, "Operator", **fields)
