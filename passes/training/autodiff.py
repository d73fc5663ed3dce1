"""Gradients at compile time: nodes that compute them, behind those that compute the loss. Floor 4."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tte.ir import Builder, Graph, Node
from tte.op import Op, Values
from tte.ops.add import Add
from tte.types import Array, TensorType, Value


def active(nodes: Iterable[Node], trained: Collection[Value]) -> set[Value]:
    """The values that depend on what is trained, itself included."""
    found = set(trained)
    for node in nodes:
        if found.intersection(node.ins):
            found.update(node.outs)
    return found


def differentiate(
    builder: Builder, graph: Graph, trained: Collection[Value], grads: dict[Value, Value]
) -> dict[Value, Value]:
    """Append to `builder`, which has the nodes of `graph`, what leads from the gradients `grads` to those of `trained`.

    Returns the gradient of each trained value that they depend on: f32, of its own shape, with respect to the
    real numbers that it stands for. A value that is used more than once has the sum of the gradients of all uses.
    Nobody may need some of the nodes that this appends; dce removes them.
    """
    grads = dict(grads)
    reached = active(graph.nodes, trained)
    for node in reversed(graph.nodes):
        of_outs = tuple(grads.get(v) for v in node.outs)
        if not reached.intersection(node.ins) or not any(of_outs):
            continue
        near = _Near(builder, node)
        for value, grad in zip(node.ins, node.op.vjp(near, of_outs, node.ins, node.outs), strict=True):
            if grad is not None and value in reached:
                before = grads.get(value)
                grads[value] = near.emit(Add(), before, grad)[0] if before else grad
    return {v: grads[v] for v in trained if v in grads}


@dataclass(frozen=True, slots=True)
class _Near:
    """Names what the gradient of a node is made of after that node."""

    builder: Builder
    node: Node

    def emit(self, op: Op, /, *ins: Value) -> Values:
        return self.builder.emit(op, *ins, name=f"{self.node.outs[0].name}_{op.label()}", source=self.node.source)

    def constant(self, name: str, type: TensorType, value: Array) -> Value:
        return self.builder.constant(f"{self.node.outs[0].name}_{name}", type, value)
