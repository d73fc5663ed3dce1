"""The graph `train_step`: what `infer` computes, the loss, its gradients, new values of what is trained. Floor 5."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tte.errors import Unsupported
from tte.ir import Builder, Graph, Module, Node, State
from tte.ops.conv import Conv
from tte.ops.dequantize import Dequantize
from tte.ops.mean_squared_error import MeanSquaredError, MeanSquaredErrorGrad
from tte.ops.pad import Pad
from tte.ops.quantize import Quantize
from tte.ops.reshape import Reshape
from tte.ops.softmax import Softmax
from tte.ops.softmax_cross_entropy import SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad
from tte.ops.tick import Tick
from tte.ops.transpose import Transpose
from tte.passes.training.autodiff import active, differentiate
from tte.passes.training.mask_clamps import mask_clamps
from tte.target import Board
from tte.training.learning import Learning, emit_update
from tte.types import DType, TensorType, Value

F32, S32 = DType.F32, DType.S32
DEAD_SCALE = 1e-7  # below it, weights stand for nothing, and a step divided by it overflows (RECIPES)
DEAD_BIAS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class TrainStep:
    """Adds a graph that learns from one example: the states in sram are trained, as `learning` says.

    train_step(the inputs of infer, label s32[1]) returns (loss f32[1], scores f32[1,n]), the scores being
    probabilities; for mean squared error (target f32[1,n]) instead of the label, and the scores are the output.
    """

    learning: Learning

    def __call__(self, module: Module, board: Board) -> Module:
        """Append the graph."""
        infer = module.graph("infer")
        trained = [s for s in module.states if s.storage == "sram"]
        if not trained:
            raise Unsupported(module.name, "nothing is trained", "choose another --plan")
        values = [s.value for s in trained]
        graph = mask_clamps(replace(infer, name="train_step"), active(infer.nodes, values))
        builder = Builder("train_step", module.states, graph)
        scores = _scores(builder, graph)
        loss, shown, grad = self._loss(builder, scores)
        whole = builder.finish(loss, shown)
        grads = differentiate(builder, whole, values, {scores: grad})
        if not grads:
            raise Unsupported(module.name, "the loss depends on nothing that is trained", "choose another --plan")
        updates = self._updates(builder, trained, grads, frozen_channels(module, infer), units(infer))
        return replace(
            module,
            states=tuple(builder.states),
            graphs=(*module.graphs, builder.finish(loss, shown, updates=updates)),
        )

    def _loss(self, builder: Builder, scores: Value) -> tuple[Value, Value, Value]:
        """The loss, what is shown of the scores, and the gradient of the loss with respect to these."""
        if self.learning.loss == "mse":
            target = builder.input("target", scores.type)
            (loss,) = builder.emit(MeanSquaredError(), scores, target, name="loss")
            return loss, scores, builder.emit(MeanSquaredErrorGrad(), scores, target, name="scores_grad")[0]
        label = builder.input("label", TensorType((1,), S32))
        loss, p = builder.emit(SoftmaxCrossEntropy(), scores, label, name="loss")
        return loss, p, builder.emit(SoftmaxCrossEntropyGrad(), p, label, name="scores_grad")[0]

    def _updates(
        self,
        builder: Builder,
        trained: list[State],
        grads: Mapping[Value, Value],
        frozen: Mapping[Value, tuple[int, ...]],
        unit: Mapping[Value, float],
    ) -> list[tuple[Value, Value]]:
        """New values of what is trained and of what training keeps beside it."""
        rate = builder.state("rate", TensorType((1,), F32), np.array([self.learning.rate], np.float32))
        clock = builder.state("clock", TensorType((2,), S32), np.array([0, self.learning.seed], np.int32))
        updates: list[tuple[Value, Value]] = []
        for number, state in enumerate(s for s in trained if s.value in grads):
            w = state.value
            special = frozen.get(w, ()), unit.get(w, 1.0)
            updates += emit_update(builder, self.learning, state, grads[w], rate, clock, number, *special)
        return [*updates, (clock, builder.emit(Tick(), clock, name="clock_next")[0])]


def _scores(builder: Builder, graph: Graph) -> Value:
    """The network's output before softmax, as f32[1,n]."""
    if len(graph.outs) != 1:
        raise Unsupported(builder.name, f"the model has {len(graph.outs)} outputs, a loss takes one")
    maker: dict[Value, Node] = {v: n for n in graph.nodes for v in n.outs}
    (v,) = graph.outs
    path = [v]
    while path[-1] in maker and isinstance(maker[path[-1]].op, (Softmax, Dequantize, Reshape)):
        path.append(maker[path[-1]].ins[0])
    ends = [i for i, p in enumerate(path) if p in maker and isinstance(maker[p].op, Softmax)]
    v = path[ends[-1] + 1] if ends else v
    if v.type.dtype is not F32:
        (v,) = builder.emit(Dequantize(), v, name="scores")
    return v if len(v.type.shape) == 2 else builder.emit(Reshape((1, v.type.size)), v, name="scores_flat")[0]


def frozen_channels(module: Module, graph: Graph) -> dict[Value, tuple[int, ...]]:
    """By weights or bias of a convolution: the dead output channels, whose scale or bias leaves no room for a step.

    Real checkpoints have them; their gradients are zero, but not after a division by the square of such a scale.
    """
    init = {s.value: s.init for s in module.states}
    found: dict[Value, tuple[int, ...]] = {}
    for node in graph.nodes:
        if not isinstance(node.op, Conv) or node.ins[1].type.quant is None:
            continue
        w, b, *rest = node.ins[1:]
        parts = [w, *rest] if w.type.shape[0] < b.type.size else [w]  # depthwise ones are split by channel
        scale = np.concatenate([np.broadcast_to(v.type.scaling.scale, v.type.shape[:1]) for v in parts])
        dead = (scale < DEAD_SCALE) | (abs(init[b].astype(np.int64)) >= DEAD_BIAS)
        channels = tuple(int(c) for c in np.flatnonzero(dead))
        found |= {b: channels, w: tuple(c for c in channels if c < w.type.shape[0])}
    return found


def units(graph: Graph) -> dict[Value, float]:
    """By trained weights that are multiplied by the graph's input: a power of two that makes its range 1 or less.

    An input of pixels from 0 to 255 would make the gradients of such weights so large, and good steps so small, that
    no rate suits both them and all others.
    """
    ranges = {v: _range(v) for v in graph.ins}
    found: dict[Value, float] = {}
    for node in graph.nodes:
        if isinstance(node.op, (Pad, Quantize, Reshape, Transpose)) and node.ins[0] in ranges:
            ranges[node.outs[0]] = max(ranges[node.ins[0]], _range(node.outs[0]))
        elif isinstance(node.op, Conv) and ranges.get(node.ins[0], 1.0) > 1:
            found[node.ins[1]] = 2.0 ** -math.ceil(math.log2(ranges[node.ins[0]]))
    return found


def _range(v: Value) -> float:
    """The largest real number in size that a quantised value may hold, 0 for one that isn't."""
    q = v.type.quant
    if q is None:
        return 0.0
    limits = np.iinfo(v.type.dtype.numpy)
    return q.scale[0] * max(limits.max - q.zero, q.zero - limits.min)
