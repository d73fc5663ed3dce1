"""Turn operators between Dequantize and Quantize into operators on integers. Floor 5."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace

import numpy as np

from tte.errors import TteError
from tte.ir import Builder, Graph, Module, Node, State
from tte.op import Op, Values
from tte.ops.concat import Concat
from tte.ops.conv import Conv
from tte.ops.dequantize import Dequantize
from tte.ops.linear import Linear
from tte.ops.max_pool import MaxPool
from tte.ops.pad import Pad
from tte.ops.quantize import Quantize
from tte.ops.requantize import Requantize
from tte.ops.reshape import Reshape
from tte.ops.resize_nearest import ResizeNearest
from tte.ops.transpose import Transpose
from tte.target import Board
from tte.types import DType, Quant, Rounding, TensorType, Value

DEPTH = 50  # nodes that a Quantize goes before
MOVES = (Reshape, Transpose, ResizeNearest, Pad, MaxPool)  # they commute with rounding


def fold_qdq(module: Module, board: Board) -> Module:
    """`Quantize(op(Dequantize(x), ...))` becomes op on integers with the scale of Quantize, rounded as ONNX does.

    What only moves elements goes before a Quantize and after a Dequantize. An operator whose float result somebody
    reads stays as it is. Dequantize nodes that nobody reads any more are left to dce.
    """
    states = list(module.states)
    graphs = []
    for graph in module.graphs:
        folding = _Folding(graph, states)
        graphs.append(folding.graph())
        states = folding.builder.states
    return replace(module, states=tuple(states), graphs=tuple(graphs))


class _Folding:
    """One graph: `twins` are the integers that a float value was made of, `made` the nodes of the new graph."""

    def __init__(self, old: Graph, states: list[State]) -> None:
        self.old, self.builder = old, Builder(old.name, states, old)
        self.builder.nodes = []  # its names stay taken
        self.states = {s.value: s for s in states}
        self.new: dict[Value, Value] = {}
        self.twins: dict[Value, Value] = {}
        self.made: dict[Value, Node] = {}
        self.known: dict[tuple[Value, Quant], Value] = {}
        self.readers = Counter(v for n in old.nodes for v in set(n.ins))
        self.readers.update(old.results)
        self.quantizers = Counter(n.ins[0] for n in old.nodes if isinstance(n.op, Quantize))

    def graph(self) -> Graph:
        """Every node, in order."""
        for old in self.old.nodes:
            node = replace(old, ins=tuple(self.new.get(v, v) for v in old.ins))
            if isinstance(node.op, Quantize) and node.op.rounding is Rounding.ONNX:
                self.quantize(node)
            elif isinstance(node.op, Dequantize):
                self.append(node)
                self.twins[node.outs[0]] = node.ins[0]
            elif (moved := self.moved(node)) is not None:
                self.append(Node(Dequantize(), (moved,), node.outs, node.source))
                self.twins[node.outs[0]] = moved
            else:
                self.append(node)
        return replace(self.old, nodes=tuple(map(self.dequantizing, self.builder.nodes)))

    def dequantizing(self, node: Node) -> Node:
        """A Linear of integers whose result stays float multiplies by the scale itself."""
        ints = self.integers(node) if isinstance(node.op, Linear) and node.ins[0].type.dtype is DType.F32 else ()
        return replace(node, ins=ints) if ints and _accepts(node.op, ints) else node

    def append(self, node: Node) -> None:
        """A node whose results keep their names."""
        self.builder.nodes.append(node)
        self.made.update(dict.fromkeys(node.outs, node))

    def emit(self, op: Op, ins: Values, like: Value, source: str) -> Value:
        """A node on integers, for a float value `like`."""
        (value,) = self.builder.emit(op, *ins, name=f"{like.name}_q", source=source)
        self.made[value] = self.builder.nodes[-1]
        return value

    def quantize(self, node: Node) -> None:
        """What a Quantize computes: the last node made for it takes its name."""
        before, out = len(self.builder.nodes), node.outs[0]
        value = self.quantized(node.ins[0], out.type.scaling)
        if len(self.builder.nodes) > before:
            last = self.builder.nodes.pop()
            del self.made[last.outs[0]]
            self.append(replace(last, outs=node.outs, source=last.source or node.source))
            self.known[node.ins[0], out.type.scaling] = out
        elif out in self.old.results:
            self.append(Node(Reshape(out.type.shape), (value,), node.outs, node.source))
        else:
            self.new[out] = value

    def rounded(self, value: Value) -> bool:
        """True if nothing but Quantize reads it, or what a Quantize has gone before."""
        return self.readers[value] == max(self.quantizers[value], 1)

    def quantized(self, x: Value, quant: Quant, depth: int = 0) -> Value:
        """Quantize(x), as far up the graph as it goes."""
        if (x, quant) not in self.known:
            self.known[x, quant] = self.pulled(x, quant, depth)
        return self.known[x, quant]

    def pulled(self, x: Value, quant: Quant, depth: int) -> Value:
        """The same, not asked for before."""
        twin = self.twins.get(x)
        if twin is not None:
            same = twin.type.quant == quant and twin.type.dtype is DType.S8
            return twin if same else self.emit(Requantize(quant, Rounding.ONNX), (twin,), x, "")
        node = self.made.get(x)
        if node is not None and self.rounded(x):
            if isinstance(node.op, (*MOVES, Concat)) and depth < DEPTH:
                ins = tuple(self.quantized(v, quant, depth + 1) for v in node.ins)
                return self.emit(_onnx(node.op), ins, x, node.source)
            ints = self.integers(node)
            op = _onnx(node.op, quant)
            if ints and op != node.op and _accepts(op, ints):
                return self.emit(op, ints, x, node.source)
        return self.emit(Quantize(quant, Rounding.ONNX), (x,), x, "")

    def moved(self, node: Node) -> Value | None:
        """What a node that moves elements makes of the integers behind its inputs, if that is exact."""
        twins = [self.twins.get(v) for v in node.ins]
        found = tuple(v for v in twins if v is not None)
        if not isinstance(node.op, (*MOVES, Concat)) or len(found) != len(twins) or found[0].type.quant is None:
            return None
        if not node.op.view and any(v.type.dtype is DType.S32 and v not in self.states for v in found):
            return None  # kernels that move elements are of s8 and of floats
        bounds = [getattr(node.op, f, 0.0) for f in ("low", "high", "value")]
        exact = all(b in (0.0, -np.inf, np.inf) for b in bounds) and -128 <= found[0].type.quant.zero <= 127
        op = _onnx(node.op)
        return self.emit(op, found, node.outs[0], node.source) if exact and _accepts(op, found) else None

    def integers(self, node: Node) -> Values:
        """The integers behind a node's inputs; () if one has none, or the bias of a layer has another scale."""
        if not isinstance(node.op, (Conv, Linear)):
            found = tuple(self.twins[v] for v in node.ins if v in self.twins)
            return found if len(found) == len(node.ins) else ()
        x, w = (self.twins.get(v) for v in node.ins[:2])
        if x is None or w is None or w not in self.states or w.type.scaling.zero or len(node.ins) < 3:
            return ()
        b = self.bias(node.ins[2], x.type.scaling, w.type.scaling)
        return () if b is None else (x, w, b)

    def bias(self, value: Value, x: Quant, w: Quant) -> Value | None:
        """A bias as s32 at scale s_x * s_w, if it is exactly that, or nothing but zeros."""
        twin = self.twins.get(value)
        if twin is not None and twin.type.dtype is DType.S32:
            product = np.float32(x.scale[0]) * np.asarray(w.scale, np.float32)
            near = np.allclose(np.asarray(twin.type.scaling.scale) / product, 1, rtol=0, atol=1e-5)
            return twin if near and twin.type.scaling.zero == 0 else None
        state = self.states.get(twin or value)
        if state is None or (twin is not None and twin.type.scaling.zero) or state.init.any():
            return None
        zeros = np.zeros(value.type.shape, np.int32)
        return self.builder.constant(f"{value.name}_s32", TensorType(value.type.shape, DType.S32), zeros)


def _onnx(op: Op, quant: Quant | None = None) -> Op:
    """The op with ONNX's rounding and, if it has such a field, the scale of its result."""
    names = {f.name for f in fields(op)}  # type: ignore[arg-type]
    changes: dict[str, object] = {"rounding": Rounding.ONNX} if "rounding" in names else {}
    if quant is not None and "out" in names:
        changes["out"] = quant
    return replace(op, **changes) if changes else op  # type: ignore[type-var]


def _accepts(op: Op, ins: Values) -> bool:
    """True if the op can be had on these."""
    try:
        op.results(*(v.type for v in ins))
    except TteError:
        return False
    return True
