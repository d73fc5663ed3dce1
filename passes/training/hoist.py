"""Put each update, and what is saved for the backward, right behind what it is made of. Floor 5."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from tte.ir import Graph, Module, Node
from tte.ops.slice import Slice
from tte.target import Board
from tte.types import Value


def hoist(module: Module, board: Board) -> Module:
    """Every graph in an order in which gradients die young, and maps of which a part is saved die before that is read.

    A new value of a state comes as soon as nobody reads the old one any more. All other nodes keep their order.
    """
    return module.map(_hoisted)


def _hoisted(graph: Graph) -> Graph:
    """The graph with the nodes that cannot wait moved up."""
    renewed = {new: old for old, new in graph.updates}
    readers: dict[Value, set[Node]] = {}
    for node in graph.nodes:
        for v in node.ins:
            readers.setdefault(v, set()).add(node)
    made = {v: node for node in graph.nodes for v in node.outs}
    before: dict[Node, set[Node]] = {}
    for node in graph.nodes:
        before[node] = {made[v] for v in node.ins if v in made}
        for old in (renewed[v] for v in node.outs if v in renewed):
            before[node] |= readers.get(old, set()) - {node}
    waiting = deque(n for n in graph.nodes if not _eager(n, renewed))
    eager = [n for n in graph.nodes if _eager(n, renewed)]
    done: dict[Node, None] = {}
    while waiting or eager:
        ready = next((n for n in eager if before[n] <= done.keys()), None)
        if ready is None:
            ready = waiting.popleft()
        else:
            eager.remove(ready)
        done[ready] = None
    return replace(graph, nodes=tuple(done))


def _eager(node: Node, renewed: dict[Value, Value]) -> bool:
    """True if it shall come as soon as it can."""
    return isinstance(node.op, Slice) or any(v in renewed for v in node.outs)
