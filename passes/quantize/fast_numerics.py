"""Round every sum of products once, the cheapest way, whatever the source runtime does. Floor 5."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from tte.errors import BadModel
from tte.ir import Module, Node
from tte.target import Board
from tte.types import Rounding


def fast_numerics(module: Module, board: Board) -> Module:
    """Ops that can round as LiteRT, as ONNX or once, round once; results may differ by one from the source's."""
    return module.map(lambda graph: replace(graph, nodes=tuple(map(_lowered, graph.nodes))))


def _lowered(node: Node) -> Node:
    """The node rounding once, unless it has no such form for its types."""
    names = cast("tuple[str, ...]", node.op.__slots__)
    given = {name: getattr(node.op, name) for name in names}
    if "rounding" not in given:
        return node
    fast = replace(node, op=type(node.op)(**given | {"rounding": Rounding.SINGLE}))
    try:
        fast.op.results(*fast.types[0])
    except BadModel:
        return node
    return fast
