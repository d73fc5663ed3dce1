"""A new classifier in place of the model's own. Floor 5."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from tte.errors import TteError
from tte.ir import Builder, Graph, Module, Node
from tte.ops.clamp import Clamp
from tte.ops.conv import Conv
from tte.ops.dequantize import Dequantize
from tte.ops.linear import Linear
from tte.ops.quantize import Quantize
from tte.ops.requantize import Requantize
from tte.ops.reshape import Reshape
from tte.ops.softmax import Softmax
from tte.passes.training.layers import called, layers
from tte.target import Board
from tte.types import Array, DType, Quant, TensorType, Value

BEHIND = (Clamp, Dequantize, Quantize, Requantize, Reshape, Softmax)  # what may follow a classifier
HeadKind: TypeAlias = Literal["float", "int8"]
LOGIT = 16.0  # the largest that an int8 head gives: beyond, softmax is 0 or 1 to within 1e-7, and gradients vanish


@dataclass(frozen=True, slots=True)
class Head:
    """Replaces the last layer of `infer`, and what follows it, by a fully connected one that gives f32[1,classes].

    Its weights and bias are drawn uniformly between -1/sqrt(k) and 1/sqrt(k), k being the number of features. With
    `kind` "float" the features are made float before it; "int8" has s8 weights, which can grow as large as those of
    the head that they replace, an s32 bias, and scores quantised between -LOGIT and LOGIT.
    """

    classes: int
    kind: HeadKind = "float"
    seed: int = 0

    def __call__(self, module: Module, board: Board) -> Module:
        """The module with the new head; TteError if it doesn't end in a classifier of one pixel."""
        graph = module.graph("infer")
        if self.classes < 1:
            raise TteError("--head", f"{self.classes} is no number of classes")
        old = _classifier(graph)
        behind = _behind(graph, old)
        kept = tuple(n for n in graph.nodes if n is not old and n not in behind)
        builder = Builder(graph.name, module.states, replace(graph, nodes=kept))
        limit = max(_largest(module, old), old.ins[0].type.size ** -0.5)
        changed = builder.finish(self._emit(builder, old.ins[0], limit))
        graphs = tuple(changed if g is graph else g for g in module.graphs)
        host = tuple(g for g in module.host if g.name != f"{graph.name}.after")
        read = {v for g in (*graphs, *host) for n in g.nodes for v in n.ins}
        states = tuple(s for s in builder.states if s.value in read)
        return replace(module, states=states, graphs=graphs, host=host)

    def _emit(self, builder: Builder, x: Value, limit: float) -> Value:
        """The layer, on features of any shape; `limit` is the largest weight that may come."""
        k, n = x.type.size, self.classes
        if x.type.shape != (1, k):
            (x,) = builder.emit(Reshape((1, k)), x, name="features")
        rng = np.random.default_rng(self.seed)
        w, b = (rng.uniform(-(k**-0.5), k**-0.5, shape) for shape in ((n, k), (n,)))
        if self.kind == "int8":
            return self._integers(builder, x, w, b, limit)
        if x.type.dtype is not DType.F32:
            (x,) = builder.emit(Dequantize(), x, name="real_features")
        weights = builder.constant("head_weight", TensorType((n, k), DType.F32), w.astype(np.float32))
        bias = builder.constant("head_bias", TensorType((n,), DType.F32), b.astype(np.float32))
        return builder.emit(Linear(), x, weights, bias, name="logits", source="head")[0]

    def _integers(self, builder: Builder, x: Value, w: Array, b: Array, limit: float) -> Value:
        """An s8 layer, its scores made float."""
        if x.type.dtype is not DType.S8:
            raise TteError("--head", f"an int8 head needs int8 features, not {x.type.dtype}", "a float head")
        scale = Quant((limit / 127,))
        both = Quant((scale.scale[0] * x.type.scaling.scale[0],))
        q = TensorType(w.shape, DType.S8, scale), TensorType(b.shape, DType.S32, both)
        weights = builder.constant("head_weight", q[0], np.rint(w / scale.scale[0]).astype(np.int8))
        bias = builder.constant("head_bias", q[1], np.rint(b / both.scale[0]).astype(np.int32))
        layer = Linear(out=Quant((LOGIT / 128,)))
        (y,) = builder.emit(layer, x, weights, bias, name="quantized_logits", source="head")
        return builder.emit(Dequantize(), y, name="logits")[0]


def _classifier(graph: Graph) -> Node:
    """The last layer."""
    found = layers(graph)
    if not found or len(graph.outs) != 1:
        raise TteError("--head", f"the model has {len(found)} layers and {len(graph.outs)} outputs, not one classifier")
    x, y = found[-1].ins[0].type, found[-1].outs[0].type
    pixels = x.size // x.shape[-1], y.size // y.shape[-1]
    if pixels != (1, 1) or (isinstance(found[-1].op, Conv) and found[-1].ins[1].type.shape[3] != x.size):
        raise TteError("--head", f"the last layer, {called(found[-1])}, is no classifier: it takes {x} and gives {y}")
    return found[-1]


def _behind(graph: Graph, layer: Node) -> list[Node]:
    """The nodes from a layer to the output."""
    nodes: list[Node] = []
    value = layer.outs[0]
    while value != graph.outs[0]:
        readers = [n for n in graph.nodes if value in n.ins]
        if len(readers) != 1 or not isinstance(readers[0].op, BEHIND):
            raise TteError("--head", f"the last layer, {called(layer)}, doesn't lead to the output alone")
        nodes.append(readers[0])
        value = readers[0].outs[0]
    return nodes


def _largest(module: Module, layer: Node) -> float:
    """The largest real weight of a layer in size, 0 if it is computed."""
    w = layer.ins[1]
    init = next((s.init for s in module.states if s.value == w), np.zeros(1))
    scales = np.asarray(w.type.quant.scale if w.type.quant else 1.0).reshape(-1, *[1] * (init.ndim - 1))
    return float(abs(init * scales).max())
