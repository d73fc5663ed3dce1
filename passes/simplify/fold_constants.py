"""Compute at compile time what depends on constants only. Floor 5."""

from __future__ import annotations

from dataclasses import replace

from tte.ir import Builder, Graph, Module, State
from tte.target import Board
from tte.types import Value

MAX_ELEMENTS = 2**22  # of a result that takes more bytes than what it is made of


def fold_constants(module: Module, board: Board) -> Module:
    """A node whose inputs all lie in flash becomes states in flash; results that the graph returns stay computed."""
    states = {s.value: s for s in module.states}
    graphs = tuple(_folded(g, states) for g in module.graphs)
    return replace(module, states=tuple(states.values()), graphs=graphs)


def _folded(graph: Graph, states: dict[Value, State]) -> Graph:
    names = Builder(graph.name, states.values(), graph)
    new: dict[Value, Value] = {}
    kept = []
    for old in graph.nodes:
        node = replace(old, ins=tuple(new.get(v, v) for v in old.ins))
        constant = all(v in states and states[v].storage == "flash" for v in node.ins)
        grown = sum(v.type.size for v in node.outs) > max(MAX_ELEMENTS, sum(v.type.size for v in node.ins))
        if not node.ins or not constant or grown or set(node.outs) & set(graph.results):
            kept.append(node)
            continue
        for value, result in zip(
            node.outs, node.op.reference(tuple(states[v].init for v in node.ins), *node.types), strict=True
        ):
            new[value] = names.constant(value.name, value.type, result)
            states[new[value]] = names.states[-1]
    return replace(graph, nodes=tuple(kept))
