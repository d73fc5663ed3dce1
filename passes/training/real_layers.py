"""Trained layers that turn integers into reals compute in reals. Floor 5."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tte.ir import Builder, Module, Node
from tte.ops.dequantize import Dequantize
from tte.ops.linear import Linear
from tte.passes.training.layers import Layer, resolve
from tte.target import Board
from tte.training.plan import TrainPlan
from tte.types import DType, TensorType, Value


@dataclass(frozen=True, slots=True)
class RealLayers:
    """linear(s8) -> f32, as a quantised network ends, becomes linear(dequantize) of f32 weights where it is trained.

    A head of floats learns better than one of integers (ANCHORS), and no scale bounds what it may become. Results
    differ by the rounding of float sums.
    """

    plan: TrainPlan

    def __call__(self, module: Module, board: Board) -> Module:
        """The module, with f32 states for those of such layers."""
        graph = module.graph("infer")
        known = {s.value for s in module.states}
        trained = (x for x in resolve(self.plan, graph) if (x.count or x.bias) and known.issuperset(x.node.ins[1:]))
        found = {x.node: x for x in trained if _mixed(x.node)}
        builder = Builder(graph.name, module.states, graph)
        builder.nodes = []
        for node in graph.nodes:
            builder.nodes.append(_real(builder, module, found[node]) if node in found else node)
        changed = replace(graph, nodes=tuple(builder.nodes))
        graphs = tuple(changed if g is graph else g for g in module.graphs)
        read = {v for g in (*graphs, *module.host) for n in g.nodes for v in n.ins}
        return replace(module, states=tuple(s for s in builder.states if s.value in read), graphs=graphs)


def _mixed(node: Node) -> bool:
    """True if it takes integers and gives reals."""
    return isinstance(node.op, Linear) and node.op.out is None and node.ins[0].type.dtype is DType.S8


def _real(builder: Builder, module: Module, layer: Layer) -> Node:
    """The layer in f32; what it needs before it is emitted."""
    x, w, b = layer.node.ins
    inits = {s.value: s.init for s in module.states}
    scale = np.asarray(w.type.scaling.scale, np.float64)
    arrays = inits[w] * scale.reshape(-1, 1), inits[b] * (scale * x.type.scaling.scale[0])
    (real,) = builder.emit(Dequantize(), x, name=f"{x.name}_real")
    ins: list[Value] = []
    for old, array in zip((w, b), arrays, strict=True):
        ins.append(
            builder.constant(f"{old.name}_real", TensorType(old.type.shape, DType.F32), array.astype(np.float32))
        )
    return replace(layer.node, ins=(real, *ins))
