"""What an npu computes without the CPU between, as models in ONNX. Floor 7."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import onnx
from onnx import TensorProto

from tte.backend.to_onnx import model, write
from tte.backend.writer import Held, Writer, own
from tte.ir import Graph, Module, Node
from tte.ops.clamp import Clamp
from tte.ops.linear import Linear
from tte.record import Record
from tte.types import NPU, DType, Value

EXACT = 2**24  # float32 holds all whole numbers up to here


@dataclass(frozen=True, slots=True)
class Run:
    """Nodes of a graph that follow each other, what they read from before, and what is read of them later."""

    name: str
    nodes: tuple[Node, ...]
    ins: tuple[Value, ...]
    outs: tuple[Value, ...]


def npu_runs(module: Module, record: Record) -> list[Run]:
    """Those of each function, as they are called, and named after it: `prefill_0`."""
    constants = {s.value for s in module.states if s.storage == "flash"}
    found: list[Run] = []
    for work in record.functions:
        graph = module.graph(work.name)
        nodes, first = {str(node): node for node in graph.nodes}, len(found)
        for unit, layers in groupby(work.layers, lambda layer: layer.unit):
            if unit == NPU:
                name = f"{work.name}_{len(found) - first}"
                found.append(_run(name, graph, tuple(nodes[layer.node] for layer in layers), constants))
    return found


def export_run(module: Module, run: Run) -> onnx.ModelProto:
    """A run as a model. What is quantised is by QDQ pairs; other sums of products are whole numbers: see `_sums`."""
    s = Writer({s.value: s for s in module.states})
    ins = [s.input(v) for v in run.ins]
    for node in run.nodes:
        if _whole(node):
            _sums(s, node)
        else:
            for one in _clamped_last(node):
                write(s, one)
    return model(s, run.name, ins, [s.result(v) for v in run.outs])


def is_exact(module: Module, run: Run) -> bool:
    """True if all of a run are such sums, and none can leave what float32 holds exactly, whatever is multiplied."""
    inits = {s.value: s.init for s in module.states}
    for node in run.nodes:
        if not _whole(node):
            return False
        x, w, *b = node.ins
        largest = np.abs(inits[w].astype(np.int64)).sum(1) * (128 + abs(x.type.scaling.zero))
        if (largest + sum(np.abs(inits[v].astype(np.int64)) for v in b)).max() > EXACT:
            return False
    return True


def _whole(node: Node) -> bool:
    """True for products of integers whose result is not quantised."""
    return isinstance(node.op, Linear) and node.ins[0].type.dtype is DType.S8 and node.op.out is None


def _clamped_last(node: Node) -> tuple[Node, ...]:
    """A Linear that clamps what it quantises, as two nodes: HTP takes a clamp between integers only. The same."""
    op, (y,) = node.op, node.outs
    if not isinstance(op, Linear) or op.out is None or (op.low, op.high) == (-math.inf, math.inf):
        return (node,)
    before = Value(f"{y.name}_before", y.type)
    linear = Node(replace(op, low=-math.inf, high=math.inf), node.ins, (before,))
    return linear, Node(Clamp(op.low, op.high, op.out), (before,), (y,))


def _sums(s: Writer, node: Node) -> None:
    """A Linear whose result is not quantised: integers at scale 1, multiplied and added as floats, then scaled.

    While sums are below 2^24 this is exact in any order, and the result is that of the op to the bit.
    """
    op, (x, w, *b), (y,) = node.op, node.ins, node.outs
    assert isinstance(op, Linear)
    one, zero = s.array("one", np.ones((), np.float32)), s.array("zero", np.zeros((), np.int8))
    start = s.array(f"{x.name}_zero", np.array(x.type.scaling.zero, np.int8))
    left = s.emit("DequantizeLinear", s.held[x].integers, one, start, name=f"{x.name}_whole")
    right = s.emit("DequantizeLinear", s.array(w.name, s.states[w].init.T), one, zero, name=f"{w.name}_whole")
    sums = s.emit("MatMul", left, right, name=f"{y.name}_sums")
    for bias in b:
        sums = s.emit("Add", sums, s.array(bias.name, s.states[bias].init.astype(np.float32)))
    if op.sums:
        held = s.emit("Cast", sums, to=TensorProto.INT32, name=y.name)
        s.held[y] = Held(held, own(y.type), held)
        return
    scale = s.array(f"{y.name}_scale", np.asarray(op.params(*node.types)["scale"], np.float32))
    s.keep(y, s.emit("Mul", sums, scale, name=y.name), own(y.type), op.low, op.high)


def _run(name: str, graph: Graph, nodes: tuple[Node, ...], constants: set[Value]) -> Run:
    made = [v for n in nodes for v in n.outs]
    others = (n for n in graph.nodes if n not in nodes)
    asked = {*graph.outs, *(new for _, new in graph.updates), *(v for n in others for v in n.ins)}
    given = (v for n in nodes for v in n.ins if v not in constants and v not in made)
    return Run(name, nodes, _once(given), tuple(v for v in made if v in asked))


def _once(values: Iterable[Value]) -> tuple[Value, ...]:
    return tuple(dict.fromkeys(values))
