"""A network cut where training comes in: what lies before is computed once, the rest trains by itself. Floor 7."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tte.driver import Pass
from tte.errors import InternalError
from tte.ir import Graph, Module
from tte.op import Values
from tte.passes.simplify.dce import dce
from tte.passes.training.autodiff import active
from tte.passes.training.front import Front
from tte.target import Board
from tte.types import Array


def entries(module: Module, full: Module) -> tuple[str, ...]:
    """Names of the values that no training changes, and that what it changes is computed from.

    `full` is the module after the passes of a training; the values are of `infer` before them.
    """
    states = {s.value for s in module.states}
    sram = [s.value for s in full.states if s.storage == "sram"]
    changing = {v.name for v in active(full.graph("infer").nodes, sram)}
    late = [n for n in module.graph("infer").nodes if any(v.name in changing for v in n.outs)]
    made = {v for n in late for v in n.outs}
    return tuple(dict.fromkeys(v.name for n in late for v in n.ins if v not in made and v not in states))


def trained(
    module: Module, passes: Iterable[Pass], names: tuple[str, ...], board: Board
) -> tuple[Module, tuple[Array, ...]]:
    """The module after the passes of a training, and the orders that these give to the channels of those values.

    Channel i is the one that was at order[i].
    """
    orders: tuple[Array, ...] = ()
    for rewrite in passes:
        if isinstance(rewrite, Front):
            orders = rewrite.orders(module, _named(module.graph("infer"), names))
        module = rewrite(module, board)
    return module, orders


def trunk(module: Module, names: tuple[str, ...], board: Board) -> Module:
    """What computes those values: `infer` returns the ones of them that are not its inputs."""
    graph = module.graph("infer")
    outs = tuple(v for v in _named(graph, names) if v not in graph.ins)
    host = tuple(g for g in module.host if g.name == "infer.before")
    return dce(replace(module, graphs=(replace(graph, outs=outs),), host=host), board)


def tail(module: Module, names: tuple[str, ...], board: Board) -> Module:
    """What trains to the bits of the whole network, given those values: they are the inputs of its graphs."""
    outer = module.graph("infer").ins
    host = tuple(g for g in module.host if g.name == "infer.after")
    return dce(replace(module.map(lambda g: _cut(g, outer, names)), host=host), board)


def _cut(graph: Graph, outer: Values, names: tuple[str, ...]) -> Graph:
    """The graph, given those values instead of the inputs of `infer`."""
    given = _named(graph, names)
    nodes = tuple(n for n in graph.nodes if not set(given).intersection(n.outs))
    return replace(graph, ins=(*given, *(v for v in graph.ins if v not in outer)), nodes=nodes)


def _named(graph: Graph, names: tuple[str, ...]) -> Values:
    known = {v.name: v for v in (*graph.ins, *(v for n in graph.nodes for v in n.outs))}
    if lost := [n for n in names if n not in known]:
        raise InternalError(graph.name, f"has no value {lost[0]} to be cut at")
    return tuple(known[n] for n in names)
