"""Training as torch does it, over the very integers of the device: a graph of int8 ops, its trained states in sram.

Independent of tte's gradients: autograd runs over the integers, straight through what rounds, and the step of DESIGN 5
is taken in the form of the paper, lr * G_q / s**2. All that no trained state reaches is computed once per image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from tte.course import Schedule
from tte.ir import Module, Node
from tte.passes.training.autodiff import active
from tte.types import Array, DType, TensorType, Value

Rule = Literal["stochastic", "master", "residual8", "nearest", "truncate"]
Tensors = dict[str, torch.Tensor]
DEAD_SCALE, DEAD_BIAS = 1e-7, 2**31 - 1


class Rounded(torch.autograd.Function):
    """The nearest integers, ties to even, kept within [low, high]; the gradient passes where they lay in it."""

    @staticmethod
    def forward(ctx, x, low, high):
        """Keep where."""
        rounded = x.round()
        y = rounded.clamp(low, high)
        ctx.save_for_backward(rounded == y)
        return y

    @staticmethod
    def backward(ctx, g):
        """Pass there."""
        return g * ctx.saved_tensors[0], None, None


@cache
def ends(node: Node) -> tuple[float, float]:
    """The least and the greatest q - zero of a result."""
    op, y = node.op, node.outs[0].type.scaling
    limits = np.rint(
        np.float32([getattr(op, "low", -math.inf), getattr(op, "high", math.inf)]) / np.float32(y.scale[0])
    )
    low, high = np.clip(limits, -128 - y.zero, 127 - y.zero)
    return float(low), float(high)


@cache
def ratios(node: Node) -> torch.Tensor:
    """f32(f32(s_x * s_w) / s_y) of each output channel of a convolution."""
    (x, w), y, n = (v.type.scaling for v in node.ins[:2]), node.outs[0].type.scaling, node.outs[0].type.shape[3]
    split = len(node.ins) == 4 and w.axis == 0 and len(w.scale) < n  # filters in two tensors
    scales = w.scale + (node.ins[3].type.scaling.scale if split else ())
    product = np.broadcast_to(np.asarray(scales, np.float32), n) * np.float32(x.scale[0])
    return torch.tensor(product / np.float32(y.scale[0]))


@cache
def scale(v: Value) -> torch.Tensor:
    """The one scale of a tensor."""
    return torch.tensor(v.type.scaling.scale[0])


def conv(node: Node, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
    """Sums of integers, which float32 holds exactly below 2**24."""
    if rest:
        w = torch.cat((w, *rest), 0 if len(w) < len(b) else 3)
    sums = products(node, x, w) + b
    if node.ins[0].type.dtype is DType.F32:
        return sums
    return Rounded.apply(sums * ratios(node), *ends(node))


def products(node: Node, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """The convolution; of pixels alone, a product of matrices."""
    op, (top, left, bottom, right) = node.op, node.op.pads
    if w.shape[1:] == (1, 1, x.shape[3]) and op.stride == (1, 1) and not any(op.pads):
        return functional.linear(x, w[:, 0, 0])
    x = functional.pad(x, (0, 0, left, right, top, bottom)).permute(0, 3, 1, 2)
    groups = x.shape[1] // w.shape[3]
    return functional.conv2d(x, w.permute(0, 3, 1, 2), None, op.stride, 0, op.dilation, groups).permute(0, 2, 3, 1)


def add(node: Node, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """In f32, as ONNX has it."""
    s_a, s_b, s_y = map(scale, (*node.ins, node.outs[0]))
    return Rounded.apply((a * s_a + b * s_b) / s_y, *ends(node))


def average_pool(node: Node, x: torch.Tensor) -> torch.Tensor:
    """Over the whole map, in ONNX Runtime's order: four lanes."""
    if tuple(x.shape[1:3]) != node.op.size or x.shape[1] * x.shape[2] % 4:
        raise NotImplementedError(str(node))
    blocks = (x * scale(node.ins[0])).reshape(len(x), -1, 4, x.shape[3])
    lanes = blocks[:, 0]
    for k in range(1, blocks.shape[1]):
        lanes = lanes + blocks[:, k]
    total = (lanes[:, 0] + lanes[:, 2]) + (lanes[:, 1] + lanes[:, 3])
    mean = total / math.prod(node.op.size) / scale(node.outs[0])
    return Rounded.apply(mean[:, None, None], *ends(node))


def dequantize(node: Node, x: torch.Tensor) -> torch.Tensor:
    """The reals."""
    return x * scale(node.ins[0])


def reshape(node: Node, x: torch.Tensor) -> torch.Tensor:
    """Any batch."""
    return x.reshape(-1, *node.outs[0].type.shape[1:])


RULES: dict[str, Callable[..., torch.Tensor]] = {
    "conv": conv,
    "add": add,
    "average_pool": average_pool,
    "dequantize": dequantize,
    "reshape": reshape,
    "linear": lambda node, x, w, b: functional.linear(x, w, b),
}


@dataclass
class Network:
    """The module's `infer`, cut where the first trained state comes in: `given` are the values that are read there."""

    module: Module

    def __post_init__(self) -> None:
        self.graph = self.module.graph("infer")
        self.states = {s.value.name: torch.tensor(s.init.astype(np.float32)) for s in self.module.states}
        read = {v for n in self.graph.nodes for v in n.ins}
        self.trained = [s.value for s in self.module.states if s.storage == "sram" and s.value in read]
        reached = active(self.graph.nodes, self.trained)
        self.early = tuple(n for n in self.graph.nodes if not reached.intersection(n.outs))
        self.late = tuple(n for n in self.graph.nodes if reached.intersection(n.outs))
        known = {s.value for s in self.module.states} | {v for n in self.late for v in n.outs}
        self.given = tuple(dict.fromkeys(v for n in self.late for v in n.ins if v not in known))

    def before(self, images: Array, batch: int = 32) -> Tensors:
        """The values of `given`, as integers q - zero in s16, for images s8[n,h,w,c] of the input's type."""
        (x,) = self.graph.ins
        zero = x.type.scaling.zero
        parts: dict[str, list[torch.Tensor]] = {v.name: [] for v in self.given}
        for at in range(0, len(images), batch):
            some = torch.tensor(images[at : at + batch].astype(np.float32) - zero)
            env = self._run(self.early, {**self.states, x.name: some})
            for v in self.given:
                parts[v.name].append(env[v.name].to(torch.int16))
        return {name: torch.cat(found) for name, found in parts.items()}

    def scores(self, given: Mapping[str, torch.Tensor], states: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The graph's output for a batch of what `before` returned."""
        env = {**states, **{k: v.float() for k, v in given.items()}}
        return self._run(self.late, env)[self.graph.outs[0].name]

    def _run(self, nodes: tuple[Node, ...], env: Tensors) -> Tensors:
        for node in nodes:
            env[node.outs[0].name] = RULES[node.op.label()](node, *(env[v.name] for v in node.ins))
        return env


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train: `lr` is for 256 samples; the rate of an update is lr / 256 * batch, at most `cap`."""

    lr: float = 0.25
    cap: float = 0.025
    epochs: int = 5
    batch: int = 1
    rule: Rule = "stochastic"
    qas: bool = True
    seed: int = 0

    def schedule(self, samples: int) -> Schedule:
        """The rate of each update."""
        return Schedule(min(self.cap, self.lr / 256 * self.batch), self.epochs * (samples // self.batch))

    def order(self, samples: int) -> Iterator[Array]:
        """The samples of each update; every epoch sees all in another order, the one of `tte train`."""
        rng = np.random.default_rng(self.seed)
        for _ in range(self.epochs):
            shuffled = rng.permutation(samples)
            yield from (shuffled[i : i + self.batch] for i in range(0, samples - self.batch + 1, self.batch))


@dataclass
class State:
    """A trained state: the numbers of the device, and the rule by which they move."""

    type: TensorType
    now: torch.Tensor
    recipe: Recipe
    live: torch.Tensor

    def __post_init__(self) -> None:
        self.now.requires_grad_(True)
        self.exact = self.now.detach().clone()  # a master's, or what Q.8 holds
        quant, column = self.type.quant, (-1, *(1,) * (len(self.type.shape) - 1))
        self.square = torch.tensor(np.asarray(quant.scale if quant else (1.0,))).float().reshape(column) ** 2
        if not self.recipe.qas:
            self.square = torch.ones_like(self.square)
        self.square = torch.where(self.live.reshape(column), self.square, 1.0)

    @torch.no_grad()
    def update(self, rate: float, bits: torch.Generator) -> None:
        """One step."""
        assert self.now.grad is not None
        step = rate * self.now.grad / self.square * self.live.reshape(-1, *(1,) * (self.now.ndim - 1))
        self.now.grad = None
        if self.type.dtype is DType.F32:
            self.now -= step
            return
        self.now.copy_(self._moved(step, bits))

    def _moved(self, step: torch.Tensor, bits: torch.Generator) -> torch.Tensor:
        """The device's integers after a step in their units; biases are rounded stochastically by every good rule."""
        weights = self.type.dtype is DType.S8
        low, high = (-128, 127) if weights else (-(2**31), 2**31)
        rule = self.recipe.rule
        if rule == "nearest":
            return (self.now - step).round().clamp(low, high)
        if rule == "truncate":
            moved = (self.now - step).trunc()
            return torch.remainder(moved + 128, 256) - 128 if weights else moved
        if rule == "stochastic" or not weights:
            draw = torch.rand(step.shape, generator=bits)
            return (self.now + torch.floor(draw - step)).clamp(low, high)
        self.exact = (self.exact - step).clamp(low, high)
        if rule == "residual8":
            self.exact = (self.exact * 256).round() / 256
        return self.exact.round().clamp(low, high)


def live_channels(module: Module) -> dict[str, Array]:
    """Of each state that a convolution reads as weights or bias, the channels that can be trained at all (RECIPES)."""
    init, found = {s.value: s.init for s in module.states}, {}
    for node in module.graph("infer").nodes:
        if node.op.label() == "conv" and node.ins[1].type.quant is not None:
            x, w, b = node.ins[:3]
            scale = np.asarray(b.type.scaling.scale) / x.type.scaling.scale[0]
            live = (scale >= DEAD_SCALE) & (np.abs(init[b].astype(np.int64)) < DEAD_BIAS)
            found[b.name], found[w.name] = live, live[: w.type.shape[0]]
    return found


def train(network: Network, given: Mapping[str, torch.Tensor], labels: Array, recipe: Recipe) -> Tensors:
    """The states after training on what `before` returned."""
    live = live_channels(network.module)
    states = {
        v.name: State(
            v.type,
            network.states[v.name].clone(),
            recipe,
            torch.tensor(live.get(v.name, np.ones(v.type.shape[:1], bool))),
        )
        for v in network.trained
    }
    env = {**network.states, **{k: s.now for k, s in states.items()}}
    classes, bits = torch.tensor(labels.astype(np.int64)), torch.Generator().manual_seed(recipe.seed)
    schedule = recipe.schedule(len(labels))
    for number, chosen in enumerate(recipe.order(len(labels))):
        some = torch.tensor(chosen)
        loss = functional.cross_entropy(network.scores({k: v[some] for k, v in given.items()}, env), classes[some])
        loss.backward()
        for state in states.values():
            state.update(schedule.at(number), bits)
    return {**network.states, **{k: s.now.detach() for k, s in states.items()}}


def accuracy(network: Network, given: Mapping[str, torch.Tensor], labels: Array, states: Tensors) -> float:
    """Percent of the samples whose highest score is that of their class."""
    right = 0
    for at in range(0, len(labels), 64):
        scores = network.scores({k: v[at : at + 64] for k, v in given.items()}, states)
        right += int((scores.argmax(1).numpy() == labels[at : at + 64]).sum())
    return 100 * right / len(labels)
