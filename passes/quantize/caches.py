"""Caches of keys and values in few bits. Floor 5."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from tte.arith import codes
from tte.errors import Unsupported
from tte.ir import Builder, Graph, Module, Node
from tte.op import Values
from tte.ops.attention import Attention, AttentionCodes
from tte.ops.cache_codes import CacheCodes
from tte.ops.cache_rows import CacheRows
from tte.target import Board
from tte.types import Value


@dataclass(frozen=True, slots=True)
class Caches:
    """cache_rows and attention in f32 -> cache_codes and attention_codes: keys in 8 bits, values in `values`, 8 or 4.

    A row is rounded once, when it comes, and always read as it was rounded: so chunks of any size still give the same
    bits. Source: the dynamic scales per head of QServe (arXiv 2405.04532).
    """

    values: int = 8

    def __call__(self, module: Module, board: Board) -> Module:
        """Every graph; the float caches are gone."""
        kept, heads = dict[Value, int](), dict[Value, int]()  # the bits of each cache, and its heads
        for graph in module.graphs:
            caches = {n.outs[0]: n.ins[0] for n in graph.nodes if isinstance(n.op, CacheRows)}
            for node in graph.nodes:
                if isinstance(node.op, Attention):
                    keys, values = (caches[v] for v in node.ins[1:3])
                    kept |= {keys: 8, values: self.values}
                    heads |= dict.fromkeys((keys, values), node.op.kv_heads)
        if not kept:
            raise Unsupported(module.name, "has no caches of keys and values")
        states = Builder("states", (s for s in module.states if s.value not in kept))
        made = {old: _states(states, old, heads[old], bits) for old, bits in kept.items()}
        graphs = tuple(_rewritten(g, states, made, heads) for g in module.graphs)
        return replace(module, states=tuple(states.states), graphs=graphs)


def _states(into: Builder, old: Value, heads: int, bits: int) -> Values:
    """Codes and scales of a cache."""
    rows, width = old.type.shape
    names = old.name, f"{old.name}_scales"
    types = codes.types(rows, width, heads, bits)
    return tuple(into.state(n, t, np.zeros(t.shape, t.dtype.numpy)) for n, t in zip(names, types, strict=True))


def _rewritten(graph: Graph, states: Builder, made: dict[Value, Values], heads: dict[Value, int]) -> Graph:
    """A graph over the new caches."""
    b = Builder(graph.name, states.states, graph)
    b.nodes = []  # its names stay taken
    now: dict[Value, Values] = {}  # by what a cache was after its new rows came in
    updates = [(old, new) for old, new in graph.updates if old not in made]
    for node in graph.nodes:
        cache, x = node.ins[0], node.ins[1:]
        if isinstance(node.op, CacheRows) and cache in made:
            now[node.outs[0]] = b.emit(CacheCodes(heads[cache]), *made[cache], *x)
            updates += zip(made[cache], now[node.outs[0]], strict=True)
        elif isinstance(node.op, Attention):
            op = AttentionCodes(node.op.heads, node.op.kv_heads)
            b.nodes.append(Node(op, (cache, *_all(now[v] for v in x[:2]), x[2]), node.outs, node.source))
        else:
            b.nodes.append(node)
    return replace(graph, nodes=tuple(b.nodes), updates=tuple(updates))


def _all(values: Iterable[Values]) -> Values:
    return tuple(v for some in values for v in some)
