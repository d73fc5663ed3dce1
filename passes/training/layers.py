"""The layers of a graph, and what a plan trains of each. Floor 4."""

from __future__ import annotations

from dataclasses import dataclass

from tte.errors import TteError
from tte.ir import Graph, Node
from tte.ops.conv import Conv
from tte.ops.linear import Linear
from tte.shapes.filters import depthwise
from tte.training.plan import Layers, Name, Part, TrainPlan


@dataclass(frozen=True, slots=True)
class Layer:
    """What is trained of a convolution or fully connected layer.

    `channels` are trained channels by rank: 0 of them, or `count` of the `total` that its weights read (depthwise: that
    they filter); `listed` are those that the plan names. `index` counts the layers of the graph.
    """

    node: Node
    index: int
    bias: bool
    count: int
    total: int
    listed: tuple[int, ...] = ()

    @property
    def partial(self) -> bool:
        """True if some channels' weights are trained and some are not."""
        return 0 < self.count < self.total

    @property
    def depthwise(self) -> bool:
        """One filter per channel."""
        return isinstance(self.node.op, Conv) and depthwise(*self.node.types, {})

    @property
    def axis(self) -> int:
        """The axis of the weights along which they are trained in part."""
        return 0 if self.depthwise else len(self.node.ins[1].type.shape) - 1

    @property
    def title(self) -> str:
        """For messages."""
        return f"layer {self.index} ({called(self.node)})"


def called(node: Node) -> str:
    """What the user calls it."""
    return node.source or node.outs[0].source or node.outs[0].name


def layers(graph: Graph) -> tuple[Node, ...]:
    """Convolutions and fully connected layers, in order; those without a bias are not trained."""
    return tuple(n for n in graph.nodes if isinstance(n.op, Conv | Linear) and len(n.ins) > 2)


def resolve(plan: TrainPlan, graph: Graph) -> tuple[Layer, ...]:
    """What the plan trains of each layer of the graph, in order, the head last; TteError if the plan doesn't fit."""
    nodes = layers(graph)
    if not nodes:
        raise TteError("--plan", f"{graph.name} has no layer to train", "a convolution or a fully connected layer")
    body = nodes[:-1] if plan.head else nodes
    biases = _chosen("biases", plan.biases, nodes, len(body))
    parts = {i: Part(i) for i in _chosen("weights", plan.weights, nodes, len(body))}
    for part in plan.parts:
        at = _index(part.layer, nodes)
        if parts.get(at, Part(at)) != Part(at):
            raise TteError("--plan", f"names the layer {part.layer!r} twice")
        parts[at] = part
    if plan.head:
        biases, parts = biases | {len(body)}, {**parts, len(body): parts.get(len(body), Part(len(body)))}
    return tuple(_layer(n, i, i in biases, parts.get(i)) for i, n in enumerate(nodes))


def _layer(node: Node, index: int, bias: bool, part: Part | None) -> Layer:
    """What is trained of one layer."""
    found = Layer(node, index, bias, 0, 0)
    total = node.ins[1].type.shape[found.axis]
    if part is None:
        return Layer(node, index, bias, 0, total)
    if part.channels and max(part.channels) >= total:
        raise TteError(found.title, f"has no channel {max(part.channels)}", f"it has {total}, from 0 on")
    count = len(part.channels) or max(1, round(part.ratio * total))
    grouped = not found.depthwise and total != node.ins[0].type.shape[-1]
    if grouped and count < total:
        raise TteError(found.title, "is a grouped convolution, of which only all channels can be trained", "ratio = 1")
    return Layer(node, index, bias, count, total, part.channels)


def _chosen(what: str, chosen: Layers, nodes: tuple[Node, ...], body: int) -> set[int]:
    """Indices of the layers that `biases` or `weights` means."""
    if isinstance(chosen, tuple):
        return {_index(name, nodes) for name in chosen}
    count = body if chosen == "all" else chosen
    if count > body:
        raise TteError("--plan", f"trains {what} of the last {count} layers", f"there are {body} before the head")
    return set(range(body - count, body))


def _index(name: Name, nodes: tuple[Node, ...]) -> int:
    """The index of the layer that is meant."""
    if isinstance(name, int):
        if name >= len(nodes):
            raise TteError("--plan", f"there is no layer {name}", f"the model has {len(nodes)}, from 0 on")
        return name
    keys = [{n.source, n.outs[0].source, n.outs[0].name} for n in nodes]
    found = [i for i, names in enumerate(keys) if name in names]
    if len(found) != 1:
        some = ", ".join(called(n) for n in nodes[-3:])
        raise TteError("--plan", f"{len(found) or 'no'} layers are called {name!r}", f"the last are {some}")
    return found[0]
