"""Take means before transposing: fewer elements are moved, often none. Floor 5."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tte.ir import Graph, Module, Node
from tte.ops.mean import Mean
from tte.ops.transpose import Transpose
from tte.target import Board
from tte.types import Value


def mean_first(module: Module, board: Board) -> Module:
    """mean(transpose(x)) becomes transpose(mean(x)), where the axes are neighbours in x, in the same order."""
    return module.map(_sunk)


def _sunk(graph: Graph) -> Graph:
    reads = Counter(v for node in graph.nodes for v in node.ins) + Counter(graph.results)
    made: dict[Value, Node] = {}
    for node in graph.nodes:
        before = made.get(node.ins[0]) if node.ins else None
        pair = _swapped(before, node) if before and reads[before.outs[0]] == 1 else None
        if before and pair:
            del made[before.outs[0]]
        for new in pair or (node,):
            made |= dict.fromkeys(new.outs, new)
    return replace(graph, nodes=tuple(dict.fromkeys(made.values())))


def _swapped(before: Node, node: Node) -> tuple[Node, Node] | None:
    """The mean, now of the transpose's input, then the transpose; None where that isn't the same."""
    if not isinstance(before.op, Transpose) or not isinstance(node.op, Mean):
        return None
    perm, mean = before.op.perm, node.op
    axes = tuple(perm[a] for a in mean.axes)
    if axes != tuple(range(axes[0], axes[0] + len(axes))):
        return None
    kept = [k for k in range(len(perm)) if mean.keep or k not in axes]
    order = tuple(kept.index(k) for k in perm if k in kept)
    first = replace(mean, axes=axes)
    value = Value(before.outs[0].name, first.results(before.ins[0].type)[0], before.outs[0].source)
    return (
        Node(first, before.ins, (value,), node.source),
        Node(Transpose(order), (value,), node.outs, before.source),
    )
