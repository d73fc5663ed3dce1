"""Modules as ONNX: float, or quantised by QDQ pairs, with maps as [n,c,h,w]. Floor 6."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import onnx
from onnx import helper

from tte.backend.writer import FIRST, Perm, Writer, own
from tte.ends import own_inputs, own_outputs
from tte.errors import Unsupported
from tte.ir import Module, Node
from tte.op import Op
from tte.ops.add import Add, Sub
from tte.ops.average_pool import AveragePool
from tte.ops.clamp import Clamp
from tte.ops.concat import Concat
from tte.ops.conv import Conv
from tte.ops.dequantize import Dequantize
from tte.ops.hard_sigmoid import HardSigmoid
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
from tte.types import Array, DType, Quant, Value

OPSET, IR = 14, 8
Made: TypeAlias = tuple[str, Perm]  # a tensor of reals, and how it holds the result, before its clamp


def export_onnx(module: Module, arrays: Mapping[str, Array]) -> onnx.ModelProto:
    """The graph `infer` with the model's own inputs and outputs; `arrays` are new values of states, by name.

    Raises Unsupported where an op has no form in ONNX.
    """
    states = {s.value: replace(s, init=arrays.get(s.value.name, s.init)) for s in module.states}
    s = Writer(states)
    ins = [s.input(v) for v in own_inputs(module)]
    host = {g.name: g.nodes for g in module.host}
    for node in (*host.get("infer.before", ()), *module.graph("infer").nodes, *host.get("infer.after", ())):
        write(s, node)
    outs = [s.output(v) for v in own_outputs(module)]
    return model(s, module.name, ins, outs)


def model(s: Writer, name: str, ins: list[onnx.ValueInfoProto], outs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    """What was written, with its arguments and results."""
    graph = helper.make_graph(s.nodes, name, ins, outs, s.arrays)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="tte")


def write(s: Writer, node: Node) -> None:
    """Append what a node is in ONNX; Unsupported if it is nothing there."""
    rule = RULES.get(type(node.op))
    if rule is None:
        raise Unsupported(node.source or node.op.label(), f"{node.op.label()} has no form in ONNX")
    name, perm = rule(s, node)
    low, high = getattr(node.op, "low", -math.inf), getattr(node.op, "high", math.inf)
    s.keep(node.outs[0], name, perm, low, high)


def _conv(s: Writer, node: Node) -> Made:
    op, (x, _, b) = node.op, node.ins[:3]
    assert isinstance(op, Conv)
    w, quant = _filters(s, node)
    given = s.reals(node.ins[1].name, w.transpose(0, 3, 1, 2), quant, DType.S8)
    name = s.emit(
        "Conv",
        s.tensor(x, FIRST),
        given,
        _bias(s, x, b, quant),
        group=x.type.shape[3] // w.shape[3],
        kernel_shape=w.shape[1:3],
        strides=op.stride,
        pads=op.pads,
        dilations=op.dilation,
    )
    return name, FIRST


def _filters(s: Writer, node: Node) -> tuple[Array, Quant | None]:
    """The weights of a convolution, joined with the rest that is not trained."""
    w, parts = node.ins[1], [node.ins[1], *node.ins[3:]]
    axis = 0 if w.type.shape[0] < node.ins[2].type.size else 3
    quant = w.type.quant
    if quant is not None and quant.axis == axis and len(parts) > 1:
        quant = replace(quant, scale=tuple(x for v in parts for x in v.type.scaling.scale))
    return np.concatenate([s.states[v].init for v in parts], axis), quant


def _bias(s: Writer, x: Value, b: Value, weights: Quant | None) -> str:
    """A bias, at the scale of the products that it is added to: one where the weights have one, as HTP asks."""
    init = s.states[b].init
    if weights is None:
        return s.array(b.name, init)
    scale = np.float32(x.type.scaling.scale[0]) * np.asarray(weights.scale, np.float32)
    if weights.axis is None:
        return s.reals(b.name, init, Quant((float(scale[0]),)), DType.S32)
    return s.reals(b.name, init, Quant(tuple(map(float, np.broadcast_to(scale, init.shape))), 0, 0), DType.S32)


def _linear(s: Writer, node: Node) -> Made:
    assert isinstance(node.op, Linear)
    if node.op.sums:
        raise Unsupported(node.source or node.op.label(), "sums in s32 have no form in ONNX")
    x, w = node.ins[:2]
    given = s.reals(w.name, s.states[w].init, w.type.quant, DType.S8)
    bias = (_bias(s, x, b, w.type.quant) for b in node.ins[2:])
    return s.emit("Gemm", s.tensor(x, (0, 1)), given, *bias, transB=1), (0, 1)


def _average_pool(s: Writer, node: Node) -> Made:
    op = node.op
    assert isinstance(op, AveragePool)
    if op.size == node.ins[0].type.shape[1:3] and not any(op.pads):  # ONNX Runtime adds in another order here
        return s.emit("GlobalAveragePool", s.tensor(node.ins[0], FIRST)), FIRST
    return _window(s, "AveragePool", node, op, count_include_pad=int(op.padded))


def _max_pool(s: Writer, node: Node) -> Made:
    op = node.op
    assert isinstance(op, MaxPool)
    return _window(s, "MaxPool", node, op)


def _window(s: Writer, name: str, node: Node, op: AveragePool | MaxPool, count_include_pad: int | None = None) -> Made:
    x = s.tensor(node.ins[0], FIRST)
    found = s.emit(name, x, kernel_shape=op.size, strides=op.stride, pads=op.pads, count_include_pad=count_include_pad)
    return found, FIRST


def _mean(s: Writer, node: Node) -> Made:
    op, x = node.op, node.ins[0]
    assert isinstance(op, Mean)
    perm = s.order(x)
    name = s.emit("ReduceMean", s.tensor(x, perm), axes=[perm[a] for a in op.axes], keepdims=int(op.keep))
    if op.keep:
        return name, perm
    left = [j for k, j in enumerate(perm) if k not in op.axes]
    return name, tuple(sorted(left).index(j) for j in left)


def _binary(op: str) -> Rule:
    def rule(s: Writer, node: Node) -> Made:
        rank = len(node.outs[0].type.shape)
        live = [v for v in node.ins if v not in s.states]
        perm = next((s.order(v) for v in live if len(v.type.shape) == rank), tuple(range(rank)))
        return s.emit(op, *(_widened(s, v, perm) for v in node.ins)), perm

    return rule


def _widened(s: Writer, v: Value, perm: Perm) -> str:
    """A tensor held by `perm`, with leading axes of one element where it has fewer."""
    missing = len(perm) - len(v.type.shape)
    if v in s.states or not missing:
        return s.tensor(v, perm)
    shape = np.array((1,) * missing + v.type.shape, np.int64)
    wide = s.emit("Reshape", s.tensor(v, own(v.type)), s.array(f"{v.name}_shape", shape))
    return s.emit("Transpose", wide, perm=[perm.index(j) for j in range(len(perm))])


def _same(s: Writer, node: Node) -> Made:
    """The same reals: what changes them is the clamp or the quantisation of the result."""
    perm = s.order(node.ins[0])
    return s.tensor(node.ins[0], perm), perm


def _unary(op: str, *fields: str) -> Rule:
    def rule(s: Writer, node: Node) -> Made:
        name, perm = _same(s, node)
        return s.emit(op, name, **{f: getattr(node.op, f) for f in fields}), perm

    return rule


def _softmax(s: Writer, node: Node) -> Made:
    op = node.op
    assert isinstance(op, Softmax)
    name, perm = _same(s, node)
    if op.beta != 1:
        name = s.emit("Mul", name, s.array("beta", np.array(op.beta, np.float32)))
    return s.emit("Softmax", name, axis=perm[-1]), perm


def _pad(s: Writer, node: Node) -> Made:
    op = node.op
    assert isinstance(op, Pad)
    name, perm = _same(s, node)
    pads = [side[perm.index(j)] for side in (op.before, op.after) for j in range(len(perm))]
    return s.emit(
        "Pad", name, s.array("pads", np.array(pads, np.int64)), s.array("value", np.array(op.value, np.float32))
    ), perm


def _concat(s: Writer, node: Node) -> Made:
    op = node.op
    assert isinstance(op, Concat)
    perm = next((s.order(v) for v in node.ins if v not in s.states), own(node.ins[0].type))
    return s.emit("Concat", *(s.tensor(v, perm) for v in node.ins), axis=perm[op.axis]), perm


def _transpose(s: Writer, node: Node) -> Made:
    op = node.op
    assert isinstance(op, Transpose)
    name, perm = _same(s, node)
    return name, tuple(perm[k] for k in op.perm)


def _reshape(s: Writer, node: Node) -> Made:
    """Where only axes of one element stand elsewhere, the elements need not be moved first."""
    op, x = node.op, node.ins[0]
    assert isinstance(op, Reshape)
    name, perm = _same(s, node)
    long = [perm[k] for k, n in enumerate(x.type.shape) if n > 1]
    if long != sorted(long):
        name = s.tensor(x, own(x.type))
    shape = s.array(f"{node.outs[0].name}_shape", np.array(op.shape, np.int64))
    return s.emit("Reshape", name, shape), tuple(range(len(op.shape)))


def _resize(s: Writer, node: Node) -> Made:
    op, (_, h, w, _) = node.op, node.ins[0].type.shape
    assert isinstance(op, ResizeNearest)
    up, across = len(op.rows) / h, len(op.columns) / w
    if all(
        found == tuple(int(i // f) for i in range(len(found))) for found, f in ((op.rows, up), (op.columns, across))
    ):
        scales = s.array("scales", np.array([1, 1, up, across], np.float32))
        x, how = s.tensor(node.ins[0], FIRST), "asymmetric"
        name = s.emit("Resize", x, "", scales, coordinate_transformation_mode=how, mode="nearest", nearest_mode="floor")
        return name, FIRST
    name, perm = _same(s, node)
    for axis, picked in ((1, op.rows), (2, op.columns)):
        name = s.emit("Gather", name, s.array("picked", np.array(picked, np.int64)), axis=perm[axis])
    return name, perm


Rule: TypeAlias = Callable[[Writer, Node], Made]
RULES: dict[type[Op], Rule] = {
    Conv: _conv,
    Linear: _linear,
    AveragePool: _average_pool,
    MaxPool: _max_pool,
    Mean: _mean,
    Add: _binary("Add"),
    Sub: _binary("Sub"),
    Mul: _binary("Mul"),
    Clamp: _same,
    Quantize: _same,
    Dequantize: _same,
    Requantize: _same,
    Sigmoid: _unary("Sigmoid"),
    Tanh: _unary("Tanh"),
    HardSwish: _unary("HardSwish"),
    HardSigmoid: _unary("HardSigmoid", "alpha", "beta"),
    LeakyRelu: _unary("LeakyRelu", "alpha"),
    Softmax: _softmax,
    Pad: _pad,
    Concat: _concat,
    Transpose: _transpose,
    Reshape: _reshape,
    ResizeNearest: _resize,
}
