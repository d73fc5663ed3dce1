"""What is trained lies in sram: weights, whole or split from what stays frozen, and biases. Floor 5."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from tte.errors import BadModel, InternalError
from tte.ir import Builder, Graph, Module, Node, State
from tte.ops.conv import Conv
from tte.passes.training.layers import Layer, resolve
from tte.target import Board
from tte.training.plan import TrainPlan
from tte.types import Array, Quant, TensorType, Value


@dataclass(frozen=True, slots=True)
class TrainStates:
    """Moves what the plan trains of `infer` to sram; the first channels are those that are trained (see `Front`).

    Weights trained in part become two states: the trained ones in sram, those of the other channels, Conv's `rest`, in
    flash. A trained s32 bias gets the scale of the reals that it stands for, s_x * s_w. What several nodes read is
    copied, as files share equal constants of layers that have nothing else in common.
    """

    plan: TrainPlan

    def __call__(self, module: Module, board: Board) -> Module:
        """The module with its states moved; what it computes stays the same, bit for bit."""
        graph = module.graph("infer")
        moving = _Moving(module, graph)
        found = {layer.node: layer for layer in resolve(self.plan, graph)}
        changed = replace(graph, nodes=tuple(moving.node(found[n]) if n in found else n for n in graph.nodes))
        module = replace(module, graphs=tuple(changed if g is graph else g for g in module.graphs))
        read = {v for g in (*module.graphs, *module.host) for n in g.nodes for v in n.ins}
        states: dict[Value, State] = {}
        for old in module.states:
            states |= {s.value: s for s in (old, *moving.new.get(old.value, ())) if s.value in read}
        return replace(module, states=tuple(states.values()))


class _Moving:
    """`new` are the states that come from an old one, by its value."""

    def __init__(self, module: Module, graph: Graph) -> None:
        self.names = Builder(graph.name, module.states, graph)
        self.states = {s.value: s for s in module.states}
        self.readers = Counter(v for g in (*module.graphs, *module.host) for n in g.nodes for v in set(n.ins))
        self.new: dict[Value, list[State]] = {}

    def node(self, layer: Layer) -> Node:
        """The layer, reading its states where they now lie."""
        x, w, b = layer.node.ins
        rest: tuple[Value, ...] = ()
        if layer.partial:
            w, rest = self.split(layer, w)
        elif layer.count:
            w = self.move(w, w.type, self.init(layer, w))
        if layer.bias:
            b = self.move(b, _real(layer.node, b.type), self.init(layer, b))
        return replace(layer.node, ins=(x, w, b, *rest))

    def split(self, layer: Layer, w: Value) -> tuple[Value, tuple[Value, ...]]:
        """The trained weights, and those that are not."""
        if not isinstance(layer.node.op, Conv):
            raise InternalError(layer.title, "is trained in part, but is no convolution")
        type, init = _by_channel(w.type, layer.axis), self.init(layer, w)
        parts = np.arange(layer.count), np.arange(layer.count, layer.total)
        (trained, first), (rest, others) = (_cut(type, init, layer.axis, part) for part in parts)
        frozen = self.names.constant(f"{w.name}_rest", rest, others)
        return self.move(w, trained, first), (self.add(w, State(frozen, others)),)

    def move(self, old: Value, type: TensorType, init: Array) -> Value:
        """The state, or what is left of it, in sram."""
        value = self.names.constant(old.name, type, init) if self.readers[old] > 1 else replace(old, type=type)
        return self.add(old, State(value, init, "sram"))

    def add(self, old: Value, state: State) -> Value:
        """Note what comes from a state."""
        self.new.setdefault(old, []).append(state)
        return state.value

    def init(self, layer: Layer, value: Value) -> Array:
        """The values of a layer's operand."""
        if value not in self.states:
            raise BadModel(layer.title, f"its {value.name} is computed, so it cannot be trained")
        return self.states[value].init


def _real(node: Node, bias: TensorType) -> TensorType:
    """A bias's type, in which an integer's scale is s_x * s_w."""
    x, w = (v.type for v in node.ins[:2])
    if x.quant is None or w.quant is None:
        return bias
    scales = np.asarray(w.quant.scale, np.float32) * np.float32(x.quant.scale[0])
    return replace(bias, quant=Quant(tuple(scales.tolist()), 0, None if w.quant.axis is None else 0))


def _by_channel(t: TensorType, axis: int) -> TensorType:
    """The type with a scale per index of axis 0, where it is cut along that."""
    if axis or t.quant is None or t.quant.axis == 0:
        return t
    return replace(t, quant=Quant(t.shape[0] * t.quant.scale, 0, 0))


def _cut(t: TensorType, init: Array, axis: int, at: Array) -> tuple[TensorType, Array]:
    """The type and the values of the elements at those indices of an axis."""
    quant = t.quant
    if quant is not None and quant.axis == axis:
        quant = replace(quant, scale=tuple(np.asarray(quant.scale)[at].tolist()))
    found = np.ascontiguousarray(np.take(init, at, axis))
    return replace(t, shape=found.shape, quant=quant), found
