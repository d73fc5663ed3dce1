"""Fold factors and offsets per channel, such as batch norms, into the weights of the layer before. Floor 5."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np

from tte.ir import Builder, Graph, Module, Node, State
from tte.ops.conv import Conv
from tte.ops.linear import Linear
from tte.ops.reshape import Reshape
from tte.target import Board
from tte.types import DType, Value


def merge_affine(module: Module, board: Board) -> Module:
    """A depthwise Conv of size 1 after a Conv or Linear that nobody else reads: one layer, if all is constant f32."""
    states = list(module.states)
    graphs = []
    for graph in module.graphs:
        merging = _Merging(graph, states)
        graphs.append(merging.graph())
        states = merging.builder.states
    return replace(module, states=tuple(states), graphs=tuple(graphs))


class _Merging:
    """One graph; a merged node takes the place of the layer, and the depthwise one vanishes."""

    def __init__(self, old: Graph, states: list[State]) -> None:
        self.old, self.builder = old, Builder(old.name, states, old)
        self.builder.nodes = []  # its names stay taken
        self.inits = {s.value: s.init for s in states if s.storage == "flash" and s.value.type.dtype is DType.F32}
        self.readers = Counter(v for n in old.nodes for v in n.ins)
        self.readers.update(old.results)
        self.at: dict[Value, int] = {}  # where in the new graph each value is made
        self.new: dict[Value, Value] = {}

    def graph(self) -> Graph:
        """Every node, in order."""
        nodes = self.builder.nodes
        for old in self.old.nodes:
            node = replace(old, ins=tuple(self.new.get(v, v) for v in old.ins))
            layer = self.layer(node) if self.affine(node) and node.outs[0] not in self.old.results else None
            if layer is None:
                self.at.update(dict.fromkeys(node.outs, len(nodes)))
                nodes.append(node)
                continue
            nodes[layer] = self.merged(nodes[layer], node)
            self.new[node.outs[0]] = node.ins[0]
        return replace(self.old, nodes=tuple(nodes))

    def affine(self, node: Node) -> bool:
        """True if each channel is multiplied and added to on its own."""
        if not isinstance(node.op, Conv) or replace(node.op, low=-math.inf, high=math.inf) != Conv():
            return False
        x, w = (v.type for v in node.ins[:2])
        return w.shape == (x.shape[3], 1, 1, 1) and all(v in self.inits for v in node.ins[1:])

    def layer(self, node: Node) -> int | None:
        """The layer before, past views that keep the channels, if it can take the factors."""
        value, channels = node.ins[0], node.ins[0].type.shape[3]
        while value in self.at and self.readers[value] == 1:
            before = self.builder.nodes[self.at[value]]
            match before.op:
                case Reshape() if before.ins[0].type.shape[-1:] == (channels,):
                    value = before.ins[0]
                case Conv(low=low, high=high) | Linear(low=low, high=high) if (low, high) == (-math.inf, math.inf):
                    merges = len(before.ins) == 3 and all(v in self.inits for v in before.ins[1:])
                    return self.at[value] if merges else None
                case _:
                    return None
        return None

    def merged(self, layer: Node, affine: Node) -> Node:
        """The layer with new weights, computed in f64."""
        w, b, factor, offset = (self.inits[v].astype(np.float64) for v in (*layer.ins[1:], *affine.ins[1:]))
        factor = factor.reshape(-1)
        arrays = w * factor.reshape(-1, *[1] * (w.ndim - 1)), b * factor + offset
        ins = []
        for old, a in zip(layer.ins[1:], arrays, strict=True):
            ins.append(self.builder.constant(old.name, old.type, a.astype(np.float32)))
            self.inits[ins[-1]] = self.builder.states[-1].init
        low, high = affine.op.low, affine.op.high  # type: ignore[attr-defined]
        return replace(layer, op=replace(layer.op, low=low, high=high), ins=(layer.ins[0], *ins))  # type: ignore[type-var]
