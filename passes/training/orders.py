"""Which tensors share an order of channels, so that these can be permuted together. Floor 4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tte.ir import Module, Node
from tte.ops.add import Add
from tte.ops.average_pool import AveragePool
from tte.ops.clamp import Clamp
from tte.ops.concat import Concat
from tte.ops.conv import Conv
from tte.ops.dequantize import Dequantize
from tte.ops.hard_sigmoid import HardSigmoid
from tte.ops.hard_swish import HardSwish
from tte.ops.leaky_relu import LeakyRelu
from tte.ops.linear import Linear
from tte.ops.max_pool import MaxPool
from tte.ops.mean import Mean
from tte.ops.mul import Mul
from tte.ops.pad import Pad
from tte.ops.quantize import Quantize
from tte.ops.requantize import Requantize
from tte.ops.reshape import Reshape
from tte.ops.resize_nearest import ResizeNearest
from tte.ops.sigmoid import Sigmoid
from tte.ops.tanh import Tanh
from tte.ops.transpose import Transpose
from tte.shapes.filters import depthwise
from tte.types import Value

POINTWISE = (Clamp, Dequantize, HardSigmoid, HardSwish, LeakyRelu, Quantize, Requantize, Sigmoid, Tanh)


class Orders:
    """The channels (the last axis) of the values of `infer`, in classes of one order.

    `states` are the axes of states that lie in the order of a class, by any value of it. States that are read in
    different ways, what the caller sees, and what an op mixes otherwise, cannot be permuted: `fixed` are their classes.
    """

    def __init__(self, module: Module) -> None:
        graph = module.graph("infer")
        self._parent: dict[Value, Value] = {}
        self._pinned: set[Value] = {*graph.ins, *graph.outs}
        self.states: dict[Value, Mapping[int, Value]] = {}
        self._constants = {s.value for s in module.states}
        for node in graph.nodes:
            self._node(node)
        others = [n for g in (*module.graphs, *module.host) if g is not graph for n in g.nodes]
        for value in self._constants.intersection(v for n in others for v in n.ins):
            self._read(value, {})

    def root(self, value: Value) -> Value:
        """The value that stands for the class."""
        while (above := self._parent.get(value, value)) != value:
            self._parent[value] = self._parent.get(above, above)
            value = above
        return value

    @property
    def fixed(self) -> set[Value]:
        """The classes that cannot be permuted, by their roots."""
        return {self.root(v) for v in self._pinned}

    def _node(self, node: Node) -> None:
        """What an op says about the orders of its operands."""
        y = node.outs[0]
        self._join(v for v in node.outs if v.type.shape == y.type.shape)  # a mask has the channels of what was clamped
        match node.op:
            case Conv() if len(node.ins) == 4:  # split weights have found their order
                self._pin((*node.ins, *node.outs))
            case Conv() if depthwise(*node.types, {}):
                self._join((node.ins[0], y))
                self._layer(node, {0: y})
            case Conv() if node.ins[1].type.shape[3] == node.ins[0].type.shape[3]:
                self._layer(node, {0: y, 3: node.ins[0]})
            case Linear() if len(node.ins) > 2:
                self._layer(node, {0: y, 1: node.ins[0]})
            case Add() | Mul() if y.type.shape:
                same = [v for v in node.ins if v.type.shape[-1:] == y.type.shape[-1:]]
                self._join((*(v for v in same if v not in self._constants), y))
                for v in same:
                    if v in self._constants:
                        self._read(v, {len(v.type.shape) - 1: y})
            case _ if _by_channel(node) and not self._constants.intersection(node.ins):
                self._join((*node.ins, *node.outs))
            case _:
                self._pin((*node.ins, *node.outs))

    def _layer(self, node: Node, axes: Mapping[int, Value]) -> None:
        """Weights and bias."""
        self._read(node.ins[1], axes)
        self._read(node.ins[2], {0: node.outs[0]})

    def _read(self, value: Value, axes: Mapping[int, Value]) -> None:
        """A constant is read in the order of these classes; what is no constant cannot be permuted."""
        before = self.states.get(value, axes)
        self.states[value] = before
        if value not in self._constants or before.keys() != axes.keys():
            self._pin((value, *axes.values(), *before.values()))
        for axis in before.keys() & axes.keys():
            self._join((before[axis], axes[axis]))

    def _join(self, values: Iterable[Value]) -> None:
        """They share one order."""
        first, *rest = values
        for value in rest:
            self._parent[self.root(value)] = self.root(first)

    def _pin(self, values: Iterable[Value]) -> None:
        """Their channels stay where they are."""
        for value in values:
            self._pinned.add(value)
            self._pinned.update(self.states.get(value, {}).values())
            if value in self._constants:
                self.states[value] = {}


def _by_channel(node: Node) -> bool:
    """True if channel i of the results is made of channels i of the inputs alone, wherever they lie."""
    x, y = node.ins[0].type, node.outs[0].type
    last = len(x.shape) - 1
    match node.op:
        case Mean(axes=axes):
            alike = last not in axes
        case Pad(before=before, after=after):
            alike = before[-1] == after[-1] == 0
        case Transpose(perm=perm):
            alike = perm[-1:] == (last,)
        case Concat(axis=axis):
            alike = axis != last
        case Reshape():
            alike = x.shape[-1:] == y.shape[-1:] != ()
        case op:
            alike = isinstance(op, (AveragePool, MaxPool, ResizeNearest, *POINTWISE))
    return alike and all(t.quant is None or t.quant.axis is None for t in (x, y))
