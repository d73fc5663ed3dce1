"""`--io quantized`: the device takes and gives NHWC in the quantised type; the host converts. Floor 5."""

from __future__ import annotations

from dataclasses import replace

from tte.ir import Graph, Module, Node
from tte.ops.dequantize import Dequantize
from tte.ops.quantize import Quantize
from tte.ops.requantize import Requantize
from tte.ops.reshape import Reshape
from tte.ops.transpose import Transpose
from tte.target import Board
from tte.types import Value

BEFORE = (Transpose, Reshape, Quantize, Requantize)
AFTER = (Transpose, Reshape, Dequantize, Requantize)


def io_quantized(module: Module, board: Board) -> Module:
    """Move conversions at the ends of `infer` to the host graphs "infer.before" and "infer.after".

    Those of an input go if nothing else reads it on the way. An output that no conversion makes stays as it is.
    """
    whole = module.graph("infer")
    starts = [_start(whole, v) for v in whole.ins]
    taken = {n for nodes, _ in starts for n in nodes}
    graph = replace(whole, ins=tuple(v for _, v in starts), nodes=tuple(n for n in whole.nodes if n not in taken))
    ends = [_end(graph, v) for v in graph.outs]
    needed = {n for nodes, _ in ends for n in nodes}
    host = {g.name: g for g in module.host}
    if taken:
        g = host.get("infer.before", Graph("infer.before", whole.ins, whole.ins, ()))
        host[g.name] = replace(g, nodes=(*g.nodes, *(n for n in whole.nodes if n in taken)), outs=graph.ins)
    if needed:
        graph = replace(graph, outs=tuple(dict.fromkeys(v for _, v in ends)))
        g = host.get("infer.after", Graph("infer.after", whole.outs, whole.outs, ()))
        host[g.name] = replace(g, nodes=(*(n for n in whole.nodes if n in needed), *g.nodes), ins=graph.outs)
    graphs = tuple(graph if g is whole else g for g in module.graphs)
    return replace(module, graphs=graphs, host=tuple(host.values()))


def _start(graph: Graph, value: Value) -> tuple[list[Node], Value]:
    """The conversions behind an input, first to last, and the value that they lead to."""
    nodes: list[Node] = []
    while value not in graph.results:
        readers = [n for n in graph.nodes if value in n.ins]
        if len(readers) != 1 or not isinstance(readers[0].op, BEFORE) or readers[0].outs[0] in graph.results:
            break
        nodes.append(readers[0])
        value = readers[0].outs[0]
    while nodes and isinstance(nodes[-1].op, Reshape):
        value = nodes.pop().ins[0]
    return nodes, value


def _end(graph: Graph, value: Value) -> tuple[list[Node], Value]:
    """The conversions before an output, first to last, and the value that they start from, which a node makes."""
    maker = {v: n for n in graph.nodes for v in n.outs}
    renewed = {new for _, new in graph.updates}
    nodes: list[Node] = []
    while isinstance(maker[value].op, AFTER) and maker[value].ins[0] in maker.keys() - renewed:
        nodes.insert(0, maker[value])
        value = maker[value].ins[0]
    while nodes and isinstance(nodes[0].op, Reshape):
        value = nodes.pop(0).outs[0]
    return nodes, value
