"""Let the op before a float clamp do the clamping. Floor 5."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace

from tte.ir import Graph, Module, Node
from tte.op import Op
from tte.ops.clamp import Clamp
from tte.target import Board
from tte.types import DType, Value


def fuse_activation(module: Module, board: Board) -> Module:
    """Clamp(op(x)) becomes op(x) with a range, where op has one and nobody else reads what it computes."""
    return module.map(_fused)


def _fused(graph: Graph) -> Graph:
    readers = Counter(v for n in graph.nodes for v in n.ins)
    readers.update(graph.results)
    at: dict[Value, int] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        x = node.ins[0] if node.ins else None
        if isinstance(node.op, Clamp) and x in at and readers[x] == 1 and x.type.dtype is DType.F32:
            before = nodes[at[x]]
            if _has_range(before.op):
                nodes[at[x]] = replace(before, op=_clamped(before.op, node.op), outs=node.outs)
                at[node.outs[0]] = at[x]
                continue
        at.update(dict.fromkeys(node.outs, len(nodes)))
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def _clamped(op: Op, clamp: Clamp) -> Op:
    """The op with its own range cut to that of the clamp."""
    own = (getattr(op, name) for name in ("low", "high"))
    low, high = (min(max(bound, clamp.low), clamp.high) for bound in own)
    return replace(op, low=low, high=high)  # type: ignore[type-var]


def _has_range(op: Op) -> bool:
    return {"low", "high"} <= {f.name for f in fields(op)}  # type: ignore[arg-type]
