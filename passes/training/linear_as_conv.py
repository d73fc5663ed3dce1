"""Fully connected layers are convolutions of one pixel, so that training knows one kind of layer. Floor 5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tte.ir import Builder, Graph, Module, Node, State
from tte.ops.conv import Conv
from tte.ops.linear import Linear
from tte.ops.reshape import Reshape
from tte.target import Board
from tte.types import DType, Value


def linear_as_conv(module: Module, board: Board) -> Module:
    """linear(x, w, b) becomes a 1x1 conv between two views, bit for bit; not where w is computed, or s8 becomes f32.

    Nor is it without b, which is not trained. Row i of x[m,k] is pixel i of a map [1,1,m,k]; w[n,k] becomes w[n,1,1,k].
    """
    states = {s.value: s for s in module.states}
    graphs = (*module.graphs, *module.host)
    changing = [n for g in module.graphs for n in g.nodes if _is_layer(n, states)]
    others = {v for g in graphs for n in g.nodes for v in (n.ins[:1] + n.ins[2:] if n in changing else n.ins)}
    names = Builder(module.name, module.states)
    filters: dict[Value, State] = {}
    for w in dict.fromkeys(n.ins[1] for n in changing):
        t, init = w.type, states[w].init
        shaped = replace(t, shape=(t.shape[0], 1, 1, t.shape[1]))
        value = names.constant(w.name, shaped, init) if w in others else replace(w, type=shaped)
        filters[w] = replace(states[w], value=value, init=init.reshape(shaped.shape))
    kept = tuple(filters[s.value] if s.value in filters and s.value not in others else s for s in module.states)
    added = tuple(f for w, f in filters.items() if w in others)
    weights = {w: f.value for w, f in filters.items()}
    return replace(module.map(lambda g: _rewritten(g, kept + added, weights)), states=kept + added)


def _is_layer(node: Node, states: Mapping[Value, State]) -> bool:
    """True if it is a fully connected layer that a convolution can be."""
    if not isinstance(node.op, Linear) or node.ins[1] not in states or len(node.ins) < 3:
        return False
    return node.op.out is not None or node.ins[0].type.dtype is DType.F32


def _rewritten(graph: Graph, states: tuple[State, ...], weights: Mapping[Value, Value]) -> Graph:
    """The graph whose layers read `weights` as filters; all values keep their names."""
    names = Builder(graph.name, states, graph)
    nodes: list[Node] = []
    for node in graph.nodes:
        if not isinstance(node.op, Linear) or node.ins[1] not in weights or len(node.ins) < 3:
            nodes.append(node)
            continue
        (x, w, b), (y,), op = node.ins, node.outs, node.op
        pixels, conv = Reshape((1, 1, *x.type.shape)), Conv(low=op.low, high=op.high, out=op.out, rounding=op.rounding)
        (shown,) = names.emit(pixels, x, name=f"{y.name}_pixels")
        (made,) = names.emit(conv, shown, weights[w], b, name=f"{y.name}_map")
        made = replace(made, source=y.source or y.name)
        nodes += [
            Node(pixels, (x,), (shown,)),
            Node(conv, (shown, weights[w], b), (made,), node.source),
            Node(Reshape(y.type.shape), (made,), node.outs),
        ]
    return replace(graph, nodes=tuple(nodes))
