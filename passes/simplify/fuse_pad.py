"""Let a convolution read beyond the edge instead of a padded copy. Floor 5."""

from __future__ import annotations

from dataclasses import replace

from tte.ir import Graph, Module, Node
from tte.ops.conv import Conv
from tte.ops.pad import Pad
from tte.target import Board
from tte.types import Value


def fuse_pad(module: Module, board: Board) -> Module:
    """conv(pad(x)) becomes conv(x) with wider pads, where the border is zero and lies around rows and columns."""
    return module.map(_fused)


def _fused(graph: Graph) -> Graph:
    maker: dict[Value, Node] = {}
    for node in graph.nodes:
        maker |= dict.fromkeys(node.outs, _fuse(node, maker))
    return replace(graph, nodes=tuple(maker[n.outs[0]] for n in graph.nodes))


def _fuse(node: Node, maker: dict[Value, Node]) -> Node:
    """Take over pads before a convolution as long as they are zeros around the rows and columns of NHWC."""
    before = maker.get(node.ins[0]) if node.ins else None
    match node.op, before and before.op:
        case Conv() as conv, Pad(value=0.0) as pad if before and not any(pad.before[k] or pad.after[k] for k in (0, 3)):
            top, left, bottom, right = conv.pads
            (_, y0, x0, _), (_, y1, x1, _) = pad.before, pad.after
            wider = replace(conv, pads=(top + y0, left + x0, bottom + y1, right + x1))
            return _fuse(replace(node, op=wider, ins=(*before.ins, *node.ins[1:])), maker)
    return node
