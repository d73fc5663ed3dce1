"""Merge transposes and views that follow one another, and drop those that do nothing. Floor 5."""

from __future__ import annotations

from dataclasses import replace

from tte.ir import Graph, Module, Node
from tte.ops.reshape import Reshape
from tte.ops.transpose import Transpose
from tte.target import Board
from tte.types import Value


def cancel_transposes(module: Module, board: Board) -> Module:
    """Transpose(Transpose(x)) is one Transpose; one that keeps the order of elements is a Reshape; Reshapes merge."""
    return module.map(_cancelled)


def _cancelled(graph: Graph) -> Graph:
    new: dict[Value, Value] = {}
    made: dict[Value, Node] = {}
    nodes = []
    for old in graph.nodes:
        node = replace(old, ins=tuple(new.get(v, v) for v in old.ins))
        if isinstance(node.op, Transpose | Reshape):
            node = _merged(node, made.get(node.ins[0]))
            if _idle(node) and node.outs[0] not in graph.results:
                new[node.outs[0]] = node.ins[0]
                continue
        made.update(dict.fromkeys(node.outs, node))
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def _idle(node: Node) -> bool:
    """True if a Reshape returns what it was given."""
    return isinstance(node.op, Reshape) and node.ins[0].type == node.outs[0].type


def _merged(node: Node, before: Node | None) -> Node:
    """The node, made to read what came before."""
    match before and before.op, node.op:
        case Reshape(), Reshape():
            assert before is not None
            node = replace(node, ins=before.ins)
        case Transpose(perm=first), Transpose(perm=second):
            assert before is not None
            node = replace(node, op=Transpose(tuple(first[i] for i in second)), ins=before.ins)
    if isinstance(node.op, Transpose):
        moved = [a for a in node.op.perm if node.ins[0].type.shape[a] != 1]
        quant = node.ins[0].type.quant
        if moved == sorted(moved) and (quant is None or quant.axis is None):
            return replace(node, op=Reshape(node.outs[0].type.shape))
    return node
