"""Gradients of integer convolutions in int8 or int16. Floor 5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tte.ir import Builder, Graph, Module, Node
from tte.op import Op
from tte.ops.bias_grad import BiasGrad
from tte.ops.conv_grad_w import ConvGradW
from tte.ops.conv_grad_x import ConvGradX
from tte.ops.mask_grad import MaskGrad
from tte.ops.round_grad import RoundGrad
from tte.ops.rounded_bias_grad import RoundedBiasGrad
from tte.ops.rounded_grad_w import RoundedGradW
from tte.ops.rounded_grad_x import MOST, RoundedGradX
from tte.target import Board
from tte.types import Value

TOGETHER = 4  # channels that share a step where a loop over channels may make so many at a time (passes/memory/chains)


@dataclass(frozen=True, slots=True)
class IntegerGradients:
    """What a masked gradient is multiplied with is s8; the gradient is rounded to `bits` bits with power-of-two steps.

    Channels that are never added to each other have a step each. Where a 1x1 convolution or a dense one adds them, all
    have one; but if it has more filters than inputs, every 4, so that its gradient need never be whole in memory.
    Gradients of inputs, weights and biases stay f32.
    """

    bits: int

    def __call__(self, module: Module, board: Board) -> Module:
        """Rewrite every graph."""
        return module.map(lambda g: self._rewritten(g, Builder(g.name, module.states, g)))

    def _rewritten(self, graph: Graph, names: Builder) -> Graph:
        readers: dict[Value, list[Node]] = {}
        for node in graph.nodes:
            for v in node.ins:
                readers.setdefault(v, []).append(node)
        kept = {*graph.results}
        nodes: list[Node] = []
        rounded: dict[Value, tuple[Value, Value]] = {}
        shared: dict[Value, int] = {}
        for node in graph.nodes:
            y = node.outs[0]
            taken = readers.get(y, []) if isinstance(node.op, MaskGrad) and len(node.ins) == 3 else []
            if taken and y not in kept and all(_reads(r, y) for r in taken):
                shared[y] = _group(y, taken)
                q, step = names.emit(RoundGrad(self.bits, shared[y]), *node.ins, name=f"{y.name}_rounded")
                rounded[y] = q, step
                nodes.append(Node(RoundGrad(self.bits, shared[y]), node.ins, (q, step), node.source))
            elif node.ins[:1] and node.ins[0] in rounded:
                op = _integer(node.op, shared[node.ins[0]])
                nodes.append(replace(node, op=op, ins=(*rounded[node.ins[0]], *node.ins[1:])))
            else:
                nodes.append(node)
        return replace(graph, nodes=tuple(nodes))


def _reads(node: Node, g: Value) -> bool:
    """True if the node has a form that reads g in integers."""
    return isinstance(node.op, BiasGrad | ConvGradW | ConvGradX) and node.ins[0] == g and g not in node.ins[1:]


def _integer(op: Op, group: int) -> Op:
    """That form."""
    if isinstance(op, ConvGradX):
        return RoundedGradX(op.stride, op.pads, op.dilation, op.shape, op.depthwise, 1 if op.depthwise else group)
    if isinstance(op, ConvGradW):
        return RoundedGradW(op.stride, op.pads, op.dilation, op.kernel, op.depthwise)
    return RoundedBiasGrad()


def _group(g: Value, readers: Sequence[Node]) -> int:
    """How many neighbouring channels of a gradient share a step."""
    co = g.type.shape[-1]
    added = [n for n in readers if isinstance(n.op, ConvGradX) and not n.op.depthwise]
    if not added:
        return 1
    if co % TOGETHER == 0 and any(co > n.outs[0].type.shape[3] for n in added):
        return TOGETHER
    return max(n for n in range(1, MOST + 1) if co % n == 0)
