"""Channels that are trained come first, so that they lie together. Floor 5."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tte.errors import TteError
from tte.ir import Graph, Module, State
from tte.passes.training.layers import Layer, resolve
from tte.passes.training.orders import Orders
from tte.target import Board
from tte.training.plan import TrainPlan
from tte.types import Array, Value


@dataclass(frozen=True, slots=True)
class Front:
    """Permutes channels of `infer` so that those that the plan trains in part come first.

    Tensors that share an order of channels (what an add takes, both sides of a depthwise convolution) are permuted
    together; one order serves all layers that read them: channels that the plan names, then by the sum over the layers
    of the Euclidean norms of a channel's real weights. The network's function stays the same: bit for bit in integers;
    in floats sums over input channels are taken in another order. Channels that the world sees (inputs, outputs) or
    that an op mixes otherwise keep theirs, and layers that read them train the first ones: `notes` says which.
    """

    plan: TrainPlan

    def __call__(self, module: Module, board: Board) -> Module:
        """The module, permuted."""
        graph, orders = module.graph("infer"), Orders(module)
        moved = self._moved(module, orders)
        new: dict[Value, State] = {}
        for state in module.states:
            axes = orders.states.get(state.value, {})
            new[state.value] = _permuted(
                state, {k: moved[r] for k, v in axes.items() if (r := orders.root(v)) in moved}
            )
        nodes = (replace(n, ins=tuple(new[v].value if v in new else v for v in n.ins)) for n in graph.nodes)
        changed = replace(graph, nodes=tuple(nodes))
        graphs = tuple(changed if g is graph else g for g in module.graphs)
        return replace(module, states=tuple(new.values()), graphs=graphs)

    def orders(self, module: Module, values: Iterable[Value]) -> tuple[Array, ...]:
        """The order that the channels (the last axis) of these values of `infer` get: i is what is now at [i]."""
        orders = Orders(module)
        moved = self._moved(module, orders)
        return tuple(moved.get(orders.root(v), np.arange(v.type.shape[-1])) for v in values)

    def _moved(self, module: Module, orders: Orders) -> dict[Value, Array]:
        """The orders of the classes of channels that change, by their roots."""
        inits, fixed = {s.value: s.init for s in module.states}, orders.fixed
        groups = _partial(self.plan, module.graph("infer"), orders)
        return {root: _order(layers, root in fixed, self.plan, inits) for root, layers in groups.items()}

    def notes(self, module: Module) -> tuple[str, ...]:
        """What the user should know: layers whose channels keep their order, so that the first ones are trained."""
        orders = Orders(module)
        groups = _partial(self.plan, module.graph("infer"), orders)
        fixed = [layer for root, layers in groups.items() if root in orders.fixed for layer in layers]
        return tuple(f"{x.title}: its input channels keep their order, the first {x.count} are trained" for x in fixed)


def _partial(plan: TrainPlan, graph: Graph, orders: Orders) -> dict[Value, list[Layer]]:
    """The layers that are trained in part, by the class of the channels that they train."""
    found: dict[Value, list[Layer]] = defaultdict(list)
    for layer in resolve(plan, graph):
        if layer.partial:
            found[orders.root(layer.node.ins[0])].append(layer)
    return found


def _order(layers: list[Layer], fixed: bool, plan: TrainPlan, inits: Mapping[Value, Array]) -> Array:
    """Channel i is to be the one that is now at [i], for all layers that read these channels."""
    named = _named(layers)
    if fixed and named != list(range(len(named))):
        raise TteError(layers[0].title, f"its channels cannot be moved, so only the first {len(named)} can be trained")
    others = list(range(layers[0].total))
    if not fixed and plan.select == "norm":
        total = sum(norms(layer, inits[layer.node.ins[1]]) for layer in layers)
        others = np.argsort(-total, kind="stable").tolist()
    return np.array([*named, *(c for c in others if c not in named)])


def _named(layers: list[Layer]) -> list[int]:
    """The channels that the plan names, of each layer before those that only others name."""
    named: list[int] = []
    before = layers[0]
    for layer in sorted((x for x in layers if x.listed), key=lambda x: len(x.listed)):
        if not set(named) <= set(layer.listed):
            raise TteError(layer.title, f"shares its channels with {before.title}, which trains others of them")
        named += [c for c in layer.listed if c not in named]
        before = layer
    return named


def norms(layer: Layer, init: Array) -> Array:
    """The Euclidean norm of each channel's real weights."""
    w = init.astype(np.float64)
    quant = layer.node.ins[1].type.quant
    if quant is not None:
        w = w * np.asarray(quant.scale).reshape(-1, *[1] * (w.ndim - 1))
    found: Array = np.sqrt((np.moveaxis(w, layer.axis, 0).reshape(layer.total, -1) ** 2).sum(1))
    return found


def _permuted(state: State, orders: Mapping[int, Array]) -> State:
    """The state with axes in new orders, its scales with them."""
    init, quant = state.init, state.value.type.quant
    for axis, order in orders.items():
        init = np.take(init, order, axis)
        if quant is not None and quant.axis == axis:
            quant = replace(quant, scale=tuple(np.asarray(quant.scale)[order].tolist()))
    value = replace(state.value, type=replace(state.value.type, quant=quant))
    return replace(state, value=value, init=np.ascontiguousarray(init))
