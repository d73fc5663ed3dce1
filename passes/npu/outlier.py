"""Float matrix products as s8 ones with static scales, and what their clamp takes off a few channels apart. Floor 5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tte.arith.progressive import symmetric
from tte.errors import BadModel
from tte.ir import Builder, Graph, Module, Node, State
from tte.ops.dequantize import Dequantize
from tte.ops.linear import Linear
from tte.ops.quantize import Quantize
from tte.ops.shadow import MOST, Shadow
from tte.target import Board
from tte.types import DType, Quant, Rounding, TensorType, Value

F32, S8, S32 = DType.F32, DType.S8, DType.S32
MOST_BIAS = 2**29  # of Linear's sums


@dataclass(frozen=True, slots=True)
class Split:
    """One input of matrix products: the weights (states) that it meets, its scale, the channels that have a shadow."""

    weights: tuple[str, ...]
    scale: float
    channels: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outlier:
    """Linear in f32 -> quantize, linear in s8 to sums, shadow where there are channels for one, dequantize.

    y = f32(clip(r) . w + (r - clip(r)) . w) * (s_x * s_w), r = round(x / s_x): the first product is for an NPU, the
    second reads a few columns of w. Source: Xu et al., mllm-NPU, 2024, but exact in integers.
    """

    splits: tuple[Split, ...]

    def __call__(self, module: Module, board: Board) -> Module:
        """Every graph; float weights stay for other readers, until dce."""
        by_weight = {w: s for s in self.splits for w in s.weights}
        known = {s.value.name: s for s in module.states}
        for name, split in by_weight.items():
            _check(name, split, known)
        states, made = list(module.states), dict[str, Weights]()
        graphs = []
        for graph in module.graphs:
            one = _Splitting(graph, states, by_weight, made)
            graphs.append(one.graph())
            states = one.builder.states
        return replace(module, states=tuple(states), graphs=tuple(graphs))


@dataclass(frozen=True, slots=True)
class Weights:
    """States: weights in s8, and the columns of hot channels as rows, None without any."""

    all: Value
    hot: Value | None


def _check(name: str, split: Split, known: dict[str, State]) -> None:
    """Raise BadModel if the module has no such weight."""
    state = known.get(name)
    if state is None or state.storage != "flash" or state.value.type.dtype is not F32 or state.init.ndim != 2:
        raise BadModel(name, "is no matrix of float weights in the model", "calibrate the same model")
    if not 0 < split.scale < np.inf:
        raise BadModel(name, f"its scale is {split.scale}")
    if list(split.channels) != sorted({c for c in split.channels if 0 <= c < state.init.shape[1]}):
        raise BadModel(name, f"its channels must rise, within 0..{state.init.shape[1] - 1}")
    if len(split.channels) > MOST:
        raise BadModel(name, f"has {len(split.channels)} channels with a shadow, {MOST} at most")


class _Splitting:
    """One graph; `made` are the weights that graphs before it already have."""

    def __init__(self, old: Graph, states: Sequence[State], splits: dict[str, Split], made: dict[str, Weights]) -> None:
        self.old, self.splits, self.made = old, splits, made
        self.builder = Builder(old.name, states, old)
        self.builder.nodes = []  # its names stay taken
        self.inits = {s.value: s.init for s in states}
        self.quantized: dict[tuple[Value, float], Value] = {}

    def graph(self) -> Graph:
        """Every node, in order."""
        for node in self.old.nodes:
            split = self.splits.get(node.ins[1].name) if node.op == Linear() else None
            if split is None:
                self.builder.nodes.append(node)
            else:
                self.product(node, split)
        return replace(self.old, nodes=tuple(self.builder.nodes))

    def product(self, node: Node, split: Split) -> None:
        """The nodes that take the place of a Linear."""
        x, w = node.ins[:2]
        one, b = self.weights(w, split), self.builder
        (sums,) = b.emit(Linear(sums=True), self.integers(x, split.scale), one.all, *self.bias(node, one, split))
        if one.hot is not None:
            (sums,) = b.emit(Shadow(split.scale, split.channels), sums, x, one.hot)
        b.nodes.append(Node(Dequantize(), (sums,), node.outs, node.source))

    def integers(self, x: Value, scale: float) -> Value:
        """x in s8; products of one input share it."""
        if (x, scale) not in self.quantized:
            (self.quantized[x, scale],) = self.builder.emit(Quantize(Quant((scale,)), Rounding.ONNX), x)
        return self.quantized[x, scale]

    def weights(self, w: Value, split: Split) -> Weights:
        """The states of a weight."""
        if w.name not in self.made:
            q, scales = symmetric(self.inits[w])
            t = TensorType(q.shape, S8, Quant(tuple(scales.tolist()), 0, 0))
            hot = np.ascontiguousarray(q[:, split.channels].T)
            one = self.builder.constant(f"{w.name}_s8", t, q)
            named = self.builder.constant(f"{w.name}_hot", TensorType(hot.shape, S8), hot) if split.channels else None
            self.made[w.name] = Weights(one, named)
        return self.made[w.name]

    def bias(self, node: Node, one: Weights, split: Split) -> tuple[Value, ...]:
        """The bias in units of the sums, if there is one."""
        if len(node.ins) < 3:
            return ()
        scales = np.asarray(one.all.type.scaling.scale) * split.scale
        b = np.clip(np.rint(self.inits[node.ins[2]] / scales), -MOST_BIAS, MOST_BIAS).astype(np.int32)
        return (self.builder.constant(f"{node.ins[2].name}_s32", TensorType(b.shape, S32), b),)
