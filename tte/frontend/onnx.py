"""ONNX models, float or quantised (QDQ pairs and QLinear operators), as modules of IR. Floor 6."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tte.errors import BadModel, TteError, Unsupported
from tte.frontend import onnx_fold, onnx_layers, onnx_pointwise, onnx_quant, onnx_shapes
from tte.frontend.onnx_model import Call, Model, Port, parse, shown
from tte.frontend.onnx_scope import Scope, short
from tte.frontend.onnx_tensor import Fixed, Live, Tensor
from tte.ir import RESERVED, Builder, Graph, Module, identifier
from tte.ops.requantize import Requantize
from tte.ops.reshape import Reshape
from tte.types import DType, Quant, Rounding, TensorType, Value

HANDLERS = onnx_layers.HANDLERS | onnx_pointwise.HANDLERS | onnx_quant.HANDLERS | onnx_shapes.HANDLERS
SUPPORTED = tuple(sorted({*HANDLERS, *onnx_fold.FOLDS, *onnx_quant.QLINEAR, "QLinearConcat"}))
MAX_BYTES = 2**30
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


def import_onnx(source: Path | bytes, name: str = "") -> Module:
    """Read a model, whose graph becomes `infer`: inputs and outputs keep the model's order of axes and element types.

    `name` is the module's; else the file's. Raises TteError for a file that is damaged, contradicts itself or asks
    for what is not supported.
    """
    label = name or (source.stem if isinstance(source, Path) else "model")
    try:
        data = _read(source) if isinstance(source, Path) else source
        folder = source.parent if isinstance(source, Path) else None
        return _module(parse(data, folder, label), identifier(short(label)))
    except TteError:
        raise
    except DAMAGE as error:
        what = shown(str(error).split("\n")[0]) or type(error).__name__
        raise BadModel(label, f"is damaged or malformed: {what}") from error


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Unsupported(path.name, "is larger than 1 GB")
        return path.read_bytes()
    except OSError as error:
        raise BadModel(str(path), f"cannot be read: {error.strerror}") from error


def _module(model: Model, name: str) -> Module:
    constants = dict(model.constants)
    calls = _needed([c for call in model.calls for c in onnx_quant.expanded(call, constants)], model.outs)
    builder = Builder("infer")
    scope = Scope(builder, model.opset, {n: Fixed(a) for n, a in constants.items()})
    for port in model.ins:
        if port.name in scope.tensors:
            raise BadModel(shown(port.name), "is the name of two inputs")
        scope.tensors[port.name] = _input(builder, port, _quant(port.name, calls, scope))
    for call in calls:
        scope.call = call
        scope.define(_result(scope))
    outs = [_output(scope, n) for n in model.outs]
    graph = _named(builder.finish(*outs), model.outs, {s.value.name for s in builder.states})
    return Module(name, tuple(builder.states), (graph,))


def _needed(calls: list[Call], outs: Iterable[str]) -> list[Call]:
    """The nodes that the outputs depend on."""
    wanted, kept = set(outs), []
    for call in reversed(calls):
        if wanted.intersection(call.outs):
            wanted.update(call.ins)
            kept.append(call)
    return kept[::-1]


def _result(s: Scope) -> Tensor | tuple[Tensor, ...]:
    """What the node at hand computes."""
    handler = HANDLERS.get(s.call.op)
    if s.call.domain not in ("", "com.microsoft") or (handler is None and s.call.op not in onnx_fold.FOLDS):
        raise Unsupported(s.call.where, "this operator is not supported", "supported: " + ", ".join(SUPPORTED))
    found = onnx_fold.folded(s)
    if found is not None:
        return found
    if handler is None:
        raise s.fail("is supported only where its inputs are constants")
    return handler(s)


def _quant(name: str, calls: list[Call], s: Scope) -> Quant | None:
    """The quantisation that the first reader of an integer input gives it, through nodes that only move elements."""
    names = {name}
    for call in calls:
        if names.intersection(call.ins[:1]):
            if call.op == "DequantizeLinear":
                s.call = call
                return onnx_quant.quant_of(s, 1, 2, False)[0]
            names.update(call.outs)
    return None


def _input(builder: Builder, port: Port, quant: Quant | None) -> Tensor:
    known = {d.numpy: d for d in (DType.F32, DType.S8, DType.U8)}
    if port.dtype not in known:
        raise Unsupported(
            shown(port.name), f"an input of type {port.dtype} is not supported", "supported: float, int8, uint8"
        )
    dtype = known[port.dtype]
    if dtype is DType.F32:
        return Live(builder.input(port.name, TensorType(port.shape, dtype)), len(port.shape))
    if quant is None:
        raise Unsupported(shown(port.name), "an integer input that no DequantizeLinear reads is not supported")
    if dtype is DType.S8:
        return Live(builder.input(port.name, TensorType(port.shape, dtype, quant)), len(port.shape))
    value = builder.input(port.name, TensorType(port.shape, dtype, replace(quant, zero=quant.zero + 128)))
    return Live(
        builder.emit(Requantize(quant, Rounding.ONNX), value, name=f"{short(port.name)}_s8")[0],
        len(port.shape),
        unsigned=True,
    )


def _output(s: Scope, name: str) -> Value:
    """A result of a node, in the model's order of axes."""
    s.call = Call("output", "", name, (name,), (name,), {})
    x = s.live(0)
    value = s.plain(x)
    if x.unsigned:
        q = value.type.scaling
        return s.emit(Requantize(replace(q, zero=q.zero + 128), Rounding.ONNX, DType.U8), value)
    made = {v for n in s.builder.nodes for v in n.outs}
    if value not in made or value in s.given:
        value = s.emit(Reshape(value.type.shape), value)
    s.given.add(value)
    return value


def _named(graph: Graph, names: tuple[str, ...], states: set[str]) -> Graph:
    """The graph with its results called as the model calls them, where these names are free."""
    taken = states | RESERVED | {v.name for n in graph.nodes for v in n.outs} | {v.name for v in graph.ins}
    new: dict[Value, Value] = {}
    for value, name in zip(graph.outs, names, strict=True):
        fresh = identifier(short(name))
        new[value] = Value(value.name if fresh in taken else fresh, value.type, shown(name))
        taken.add(fresh)
    nodes = tuple(
        replace(n, ins=tuple(new.get(v, v) for v in n.ins), outs=tuple(new.get(v, v) for v in n.outs))
        for n in graph.nodes
    )
    return replace(graph, nodes=nodes, outs=tuple(new[v] for v in graph.outs))
