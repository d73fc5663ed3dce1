"""Integer results that a gradient passes say which of their elements were not clamped. Floor 4."""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import replace

from tte.ir import Graph, Node
from tte.ops.add import Add
from tte.ops.average_pool import AveragePool
from tte.ops.conv import Conv
from tte.ops.mean import Mean
from tte.ops.mul import Mul
from tte.ops.quantize import Quantize
from tte.ops.requantize import Requantize
from tte.types import DType, Value


def mask_clamps(graph: Graph, active: Collection[Value]) -> Graph:
    """Nodes that make a value in `active` have a mask as second result, where they clamp integers."""
    taken = {v.name for v in graph.ins} | {v.name for n in graph.nodes for v in (*n.ins, *n.outs)}
    return replace(graph, nodes=tuple(_masked(n, taken) if n.outs[0] in active else n for n in graph.nodes))


def _masked(node: Node, taken: Set[str]) -> Node:
    op = node.op
    if not isinstance(op, Add | AveragePool | Conv | Mean | Mul | Quantize | Requantize) or not _clamps(node):
        return node
    changed = replace(op, masked=True)
    y, mask = changed.results(*node.types[0])
    name = next(n for i in range(len(taken) + 1) if (n := f"{node.outs[0].name}_mask{i or ''}") not in taken)
    return replace(node, op=changed, outs=(replace(node.outs[0], type=y), Value(name, mask)))


def _clamps(node: Node) -> bool:
    """True if some result may be another for its clamp; the mean of integers lies between them."""
    x, y = node.ins[0].type, node.outs[0].type
    if y.dtype is not DType.S8:
        return False
    free = isinstance(node.op, AveragePool) and node.op.low < node.op.high and x.quant == y.quant
    return not (free and node.op.params(*node.types).items() >= {"lo": -128, "hi": 127}.items())
