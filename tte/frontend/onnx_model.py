"""An ONNX file as plain records. Every field is checked: nothing here, or later, trusts the file. Floor 2."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from tte.errors import BadModel, Unsupported
from tte.types import Array

Attribute: TypeAlias = int | float | str | tuple[int, ...] | tuple[float, ...] | Array

T = TypeVar("T")
MAX_ELEMENTS = 2**27  # of one tensor
MAX_NODES = 2**15
NUMPY: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype("f4"),
    TensorProto.UINT8: np.dtype("u1"),
    TensorProto.INT8: np.dtype("i1"),
    TensorProto.UINT16: np.dtype("u2"),
    TensorProto.INT16: np.dtype("i2"),
    TensorProto.INT32: np.dtype("i4"),
    TensorProto.INT64: np.dtype("i8"),
    TensorProto.BOOL: np.dtype("?"),
    TensorProto.FLOAT16: np.dtype("f2"),
    TensorProto.DOUBLE: np.dtype("f8"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A node of the model."""

    op: str
    domain: str
    name: str
    ins: tuple[str, ...]
    outs: tuple[str, ...]
    attributes: Mapping[str, Attribute]

    @property
    def where(self) -> str:
        """How errors call it."""
        return f"{self.op} {shown(self.name or next(iter(self.outs), ''))}"

    def integer(self, name: str, default: int) -> int:
        """An attribute that is an integer."""
        return self._checked(name, int, default)

    def number(self, name: str, default: float) -> float:
        """An attribute that is a finite number."""
        return self._checked(name, float, default)

    def text(self, name: str, default: str) -> str:
        """An attribute that is a string."""
        return self._checked(name, str, default)

    def ints(self, name: str) -> tuple[int, ...] | None:
        """An attribute that is a list of integers, none as big as 2^31; None where it is absent."""
        found: tuple[object, ...] = self._checked(name, tuple, ())
        whole = tuple(i for i in found if isinstance(i, int) and abs(i) < 2**31)
        if len(whole) < len(found):
            raise BadModel(self.where, f"attribute {name} is not a list of small integers")
        return whole if name in self.attributes else None

    def _checked(self, name: str, kind: type[T], default: T) -> T:
        found = self.attributes.get(name, default)
        if not isinstance(found, kind):
            raise BadModel(self.where, f"attribute {name} has another type than {kind.__name__}")
        if isinstance(found, float) and not math.isfinite(found):
            raise BadModel(self.where, f"attribute {name} is {found}")
        return found


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the model."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """The main graph; `opset` is the version of ONNX's own operators."""

    opset: int
    calls: tuple[Call, ...]
    constants: Mapping[str, Array]
    ins: tuple[Port, ...]
    outs: tuple[str, ...]


def shown(name: str | bytes, limit: int = 80) -> str:
    """A name from the file, fit for a line of text."""
    text = "".join(c if c.isprintable() else "?" for c in (name if isinstance(name, str) else repr(name)))
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _text(name: str | bytes) -> str:
    """A string of the file, which protobuf leaves as bytes where they are not UTF-8."""
    if isinstance(name, bytes):
        raise BadModel(repr(name[:40]), "is a name that is not UTF-8")
    return name


def parse(data: bytes, folder: Path | None, name: str) -> Model:
    """The model in `data`; tensors in other files are looked for in `folder`."""
    proto = ModelProto()
    try:
        proto.ParseFromString(data)
    except (DecodeError, RuntimeError, ValueError) as error:
        raise BadModel(name, "is not an ONNX file, or is damaged", "it must be a protobuf ModelProto") from error
    versions = [o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")]
    graph = proto.graph
    if not graph.node or not versions:
        raise BadModel(name, "is not an ONNX model, or has no nodes")
    if not 7 <= versions[0] <= 1000:
        raise Unsupported(name, f"opset {versions[0]} is too old", "convert it to opset 13 or later")
    if len(graph.node) > MAX_NODES or graph.sparse_initializer:
        raise Unsupported(name, f"has more than {MAX_NODES} nodes, or sparse initialisers")
    constants = _initialisers(graph, folder)
    return Model(
        versions[0],
        tuple(_call(n, folder) for n in graph.node),
        constants,
        tuple(_port(v) for v in graph.input if v.name not in constants),
        tuple(_text(v.name) for v in graph.output),
    )


def _initialisers(graph: GraphProto, folder: Path | None) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for t in graph.initializer:
        if t.name in found:
            raise BadModel(shown(t.name), "is the name of two initialisers")
        found[t.name] = array(t, folder)
    return found


def _port(value: ValueInfoProto) -> Port:
    """A symbolic batch is 1; no other size may be open."""
    where, tensor = shown(value.name), value.type.tensor_type
    if not value.type.HasField("tensor_type") or tensor.elem_type not in NUMPY:
        raise Unsupported(where, "is not a tensor of a supported type", "supported: float, uint8, int8")
    if not tensor.HasField("shape"):
        raise Unsupported(where, "has no shape", "export the model with fixed sizes")
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
    if sizes and (sizes[0] is None or sizes[0] == 0):
        sizes[0] = 1
    if None in sizes or any(s is not None and not 0 < s < 2**31 for s in sizes):
        text = ", ".join(
            str(d.dim_value) if d.HasField("dim_value") else shown(d.dim_param) or "?" for d in tensor.shape.dim
        )
        raise Unsupported(
            where, f"its shape [{text}] is not fixed", "only the batch may be open; export with fixed sizes"
        )
    shape = tuple(s for s in sizes if s is not None)
    if math.prod(shape) > MAX_ELEMENTS:
        raise Unsupported(where, f"has more than {MAX_ELEMENTS} elements")
    return Port(_text(value.name), NUMPY[tensor.elem_type], shape)


def _call(node: NodeProto, folder: Path | None) -> Call:
    found: dict[str, Attribute] = {}
    for a in node.attribute:
        value = _attribute(a, folder)
        if value is not None:
            found[a.name] = value
    domain = "" if node.domain == "ai.onnx" else node.domain
    ins, outs = (tuple(map(_text, names)) for names in (node.input, node.output))
    return Call(_text(node.op_type), _text(domain), _text(node.name), ins, outs, found)


def _attribute(a: AttributeProto, folder: Path | None) -> Attribute | None:
    """None for kinds that no supported operator has."""
    read: dict[int, Callable[[], Attribute]] = {
        AttributeProto.INT: lambda: a.i,
        AttributeProto.FLOAT: lambda: a.f,
        AttributeProto.STRING: lambda: a.s.decode("utf-8", "replace"),
        AttributeProto.INTS: lambda: tuple(a.ints),
        AttributeProto.FLOATS: lambda: tuple(a.floats),
        AttributeProto.TENSOR: lambda: array(a.t, folder),
    }
    return read[a.type]() if a.type in read else None


def array(t: TensorProto, folder: Path | None) -> Array:
    """The tensor's elements; sizes are compared before anything is allocated."""
    where, dims = shown(t.name) or "a tensor", tuple(t.dims)
    if t.data_type not in NUMPY:
        raise Unsupported(where, f"element type {t.data_type} is not supported")
    dtype, n = NUMPY[t.data_type], math.prod(dims)
    if min(dims, default=0) < 0 or max(dims, default=0) > MAX_ELEMENTS or n > MAX_ELEMENTS or len(dims) > 8:
        raise BadModel(where, f"shape {list(dims)[:8]} is not sensible")
    if t.data_location == TensorProto.EXTERNAL:
        flat = np.frombuffer(_external(t, folder, n * dtype.itemsize), dtype.newbyteorder("<"))
    elif t.HasField("raw_data"):
        whole = len(t.raw_data) - len(t.raw_data) % dtype.itemsize
        flat = np.frombuffer(t.raw_data[:whole], dtype.newbyteorder("<"))
    else:
        flat = _typed(t, dtype)
    if flat.size != n:
        raise BadModel(where, f"holds {flat.size} elements, not the {n} of its shape {list(dims)}")
    return flat.astype(dtype).reshape(dims)


def _typed(t: TensorProto, dtype: np.dtype[Any]) -> Array:
    """The elements in the field of their kind; small integers, and halfs as bits, lie in int32_data."""
    fields: dict[str, tuple[str, Iterable[float]]] = {
        "float32": ("f4", t.float_data),
        "float64": ("f8", t.double_data),
        "int64": ("i8", t.int64_data),
    }
    code, values = fields.get(dtype.name, ("i4", t.int32_data))
    flat: Array = np.array(values, code)
    return flat.astype(np.uint16).view(dtype) if dtype.name == "float16" else flat.astype(dtype)


def _external(t: TensorProto, folder: Path | None, size: int) -> bytes:
    """The bytes of a tensor in another file, which must lie beside the model."""
    entries = {e.key: e.value for e in t.external_data}
    where, location = shown(t.name), entries.get("location", "")
    offset = entries.get("offset", "0")
    path = (folder / location).resolve() if folder and "\0" not in location else None
    if path is None or folder is None or folder.resolve() not in path.parents or not path.is_file():
        raise BadModel(where, f"its data should be in the file {shown(location)!r}", "put it beside the model")
    if not (offset.isascii() and offset.isdigit()):
        raise BadModel(where, f"its offset {shown(offset)!r} is not a number")
    with path.open("rb") as file:
        file.seek(min(int(offset), 2**62))
        found: bytes = file.read(size)
    return found
