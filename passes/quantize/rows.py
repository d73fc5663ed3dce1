"""Float matrix products as integer ones whose activations get a scale for each row as they come. Floor 5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tte.arith.progressive import quantized, symmetric
from tte.errors import Unsupported
from tte.ir import Builder, Graph, Module, Node, State
from tte.op import Values
from tte.ops.linear import Linear
from tte.ops.linear_groups import LinearGroups
from tte.ops.linear_rows import LinearRows
from tte.ops.quantize_rows import QuantizeRows
from tte.target import Board
from tte.types import Array, DType, Quant, TensorType, Value

F32, S8, U8 = DType.F32, DType.S8, DType.U8


@dataclass(frozen=True, slots=True)
class Rows:
    """Linear in f32 -> quantize_rows, and linear_rows with weights of 8 bits, or of 4 with a step for each `group`.

    Products of one input share its rows. Results of the graph, a classifier's, keep weights of 8 bits. Source of the
    groups: QServe (arXiv 2405.04532).
    """

    group: int | None = None

    def __call__(self, module: Module, board: Board) -> Module:
        """Every graph; float weights stay for other readers, until dce."""
        inits = {s.value: s.init for s in module.states if s.storage == "flash"}
        states, made, graphs = list(module.states), dict[Value, Values](), list[Graph]()
        for graph in module.graphs:
            one = _Rounding(graph, states, inits, self.group, made)
            graphs.append(one.graph())
            states = one.builder.states
        if not made:
            raise Unsupported(module.name, "has no products of floats with constant weights")
        return replace(module, states=tuple(states), graphs=tuple(graphs))


class _Rounding:
    """One graph; `made` are the weights that graphs before it already have."""

    def __init__(
        self,
        old: Graph,
        states: Sequence[State],
        inits: dict[Value, Array],
        group: int | None,
        made: dict[Value, Values],
    ) -> None:
        self.old, self.inits, self.group, self.made = old, inits, group, made
        self.builder = Builder(old.name, states, old)
        self.builder.nodes = []  # its names stay taken
        self.rows: dict[Value, Values] = {}

    def graph(self) -> Graph:
        """Every node, in order."""
        for node in self.old.nodes:
            if node.op == Linear() and node.types[0][0].dtype is F32 and node.ins[1] in self.inits:
                self.product(node)
            else:
                self.builder.nodes.append(node)
        return replace(self.old, nodes=tuple(self.builder.nodes))

    def product(self, node: Node) -> None:
        """The nodes that take the place of a Linear."""
        x, w, *b = node.ins
        if x not in self.rows:
            self.rows[x] = self.builder.emit(QuantizeRows(), x, name=f"{x.name}_s8")
        group = None if node.outs[0] in self.old.outs else self.group
        if w not in self.made:
            self.made[w] = self.in_eight(w) if group is None else self.in_four(w, group)
        op = LinearRows() if group is None else LinearGroups(group)
        self.builder.nodes.append(Node(op, (*self.rows[x], *self.made[w], *b), node.outs, node.source))

    def in_eight(self, w: Value) -> Values:
        """The weights in s8."""
        q, scales = symmetric(self.inits[w])
        t = TensorType(q.shape, S8, Quant(tuple(scales.tolist()), 0, 0))
        return (self.builder.constant(f"{w.name}_s8", t, q),)

    def in_four(self, w: Value, group: int) -> Values:
        """Codes, steps, zeros and scales."""
        found = quantized(self.inits[w], group)
        parts = {"u4": (found.q, U8), "step": (found.step, U8), "zero": (found.zero, U8), "by": (found.by, F32)}
        return tuple(self.builder.constant(f"{w.name}_{k}", TensorType(a.shape, t), a) for k, (a, t) in parts.items())
