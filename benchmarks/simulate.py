"""Training as torch does it, over the very integers of the device: a graph of int8 ops, its trained states in sram.

Independent of tte's gradients: autograd runs over the integers, straight through what rounds, and the step of DESIGN 5
is taken in the form of the paper, lr * G_q / s**2. All that no trained state reaches is computed once per image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from tte.ir import Module, Node
from tte.passes.training.autodiff import active
from tte.training.course import Schedule
from tte.types import Array, DType, Value

Rule = Literal["stochastic", "master", "residual8", "nearest", "truncate"]
Tensors = dict[str, torch.Tensor]
Layer = Callable[..., torch.Tensor]
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


def ends(node: Node) -> tuple[float, float]:
    """The least and the greatest q - zero of a result."""
    y, given = node.outs[0].type.scaling, (getattr(node.op, "low", -math.inf), getattr(node.op, "high", math.inf))
    low, high = np.clip(np.rint(np.float32(given) / np.float32(y.scale[0])), -128 - y.zero, 127 - y.zero)
    return float(low), float(high)


def ratios(node: Node) -> torch.Tensor:
    """f32(f32(s_x * s_w) / s_y) of each output channel of a convolution."""
    (x, w), y, n = (v.type.scaling for v in node.ins[:2]), node.outs[0].type.scaling, node.outs[0].type.shape[3]
    split = len(node.ins) == 4 and w.axis == 0 and len(w.scale) < n  # filters in two tensors
    scales = w.scale + (node.ins[3].type.scaling.scale if split else ())
    product = np.broadcast_to(np.asarray(scales, np.float32), n) * np.float32(x.scale[0])
    return torch.tensor(product / np.float32(y.scale[0]))


def scale(v: Value) -> torch.Tensor:
    """The one scale of a tensor."""
    return torch.tensor(v.type.scaling.scale[0])


def conv(node: Node) -> Layer:
    """Sums of integers, which float32 holds exactly below 2**24."""
    (x, w, b), multiply = (v.type for v in node.ins[:3]), products(node)
    axis = 0 if w.shape[0] < b.shape[0] else 3

    def sums(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        return multiply(x, torch.cat((w, *rest), axis) if rest else w) + b

    if x.dtype is DType.F32:
        return sums
    ratio, limits = ratios(node), ends(node)
    return lambda *given: Rounded.apply(sums(*given) * ratio, *limits)


def products(node: Node) -> Layer:
    """The convolution; of pixels alone, a product of matrices."""
    op, (top, left, bottom, right), x, y = node.op, node.op.pads, node.ins[0].type.shape, node.outs[0].type.shape
    kernel, depthwise = node.ins[1].type.shape[1:3], node.ins[1].type.shape[3] == 1 and x[3] == y[3]
    if kernel == (1, 1) and x[1:3] == y[1:3] and not depthwise:
        return lambda x, w: functional.linear(x, w[:, 0, 0])

    def windows(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        x = functional.pad(x, (0, 0, left, right, top, bottom)).permute(0, 3, 1, 2)
        groups = x.shape[1] // w.shape[3]
        return functional.conv2d(x, w.permute(0, 3, 1, 2), None, op.stride, 0, op.dilation, groups).permute(0, 2, 3, 1)

    return windows


def add(node: Node) -> Layer:
    """In f32, as ONNX has it."""
    (s_a, s_b, s_y), limits = map(scale, (*node.ins, node.outs[0])), ends(node)
    return lambda a, b: Rounded.apply((a * s_a + b * s_b) / s_y, *limits)


def average_pool(node: Node) -> Layer:
    """Over the whole map, in ONNX Runtime's order: four lanes."""
    shape, size = node.ins[0].type.shape, math.prod(node.op.size)
    if shape[1:3] != node.op.size or size % 4:
        raise NotImplementedError(str(node))
    (s_x, s_y), limits = map(scale, (*node.ins, *node.outs)), ends(node)

    def mean(x: torch.Tensor) -> torch.Tensor:
        blocks = (x * s_x).reshape(len(x), -1, 4, shape[3])
        lanes = blocks[:, 0]
        for k in range(1, size // 4):
            lanes = lanes + blocks[:, k]
        total = (lanes[:, 0] + lanes[:, 2]) + (lanes[:, 1] + lanes[:, 3])
        return Rounded.apply((total / size / s_y)[:, None, None], *limits)

    return mean


def dequantize(node: Node) -> Layer:
    """The reals."""
    s = scale(node.ins[0])
    return lambda x: x * s


def reshape(node: Node) -> Layer:
    """Any batch."""
    shape = node.outs[0].type.shape[1:]
    return lambda x: x.reshape(-1, *shape)


RULES: dict[str, Callable[[Node], Layer]] = {
    "conv": conv,
    "add": add,
    "average_pool": average_pool,
    "dequantize": dequantize,
    "reshape": reshape,
    "linear": lambda node: functional.linear,
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
        self.layers = {n.outs[0].name: RULES[n.op.label()](n) for n in self.graph.nodes}
        known = {s.value for s in self.module.states} | {v for n in self.late for v in n.outs}
        self.given = tuple(dict.fromkeys(v for n in self.late for v in n.ins if v not in known))

    def before(self, images: Array, batch: int = 32) -> Tensors:
        """The values of `given`, integers as q - zero in s16, for images s8[n,h,w,c] of the input's type."""
        (x,) = self.graph.ins
        zero = x.type.scaling.zero
        parts: dict[str, list[torch.Tensor]] = {v.name: [] for v in self.given}
        for at in range(0, len(images), batch):
            some = torch.tensor(images[at : at + batch].astype(np.float32) - zero)
            env = self._run(self.early, {**self.states, x.name: some})
            for v in self.given:
                parts[v.name].append(env[v.name] if v.type.dtype is DType.F32 else env[v.name].to(torch.int16))
        return {name: torch.cat(found) for name, found in parts.items()}

    def scores(self, given: Mapping[str, torch.Tensor], states: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The graph's output for a batch of what `before` returned."""
        env = {**states, **{k: v.float() for k, v in given.items()}}
        return self._run(self.late, env)[self.graph.outs[0].name]

    def _run(self, nodes: tuple[Node, ...], env: Tensors) -> Tensors:
        for node in nodes:
            env[node.outs[0].name] = self.layers[node.outs[0].name](*(env[v.name] for v in node.ins))
        return env


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train: `lr` is for 256 samples; the rate of an update is lr / 256 * batch, at most `cap`."""

    lr: float = 0.4
    cap: float = 0.025
    epochs: int = 1
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


class Trained:
    """All trained states, one behind the other, in the numbers of the device; and the rule by which they move."""

    def __init__(self, network: Network, recipe: Recipe) -> None:
        self.values, self.recipe, live = network.trained, recipe, live_channels(network.module)

        def whole(of: Callable[[Value], Array]) -> torch.Tensor:
            columns = [(v, of(v).reshape(-1, *(1,) * (len(v.type.shape) - 1))) for v in self.values]
            return torch.tensor(np.concatenate([np.broadcast_to(a, v.type.shape).ravel() for v, a in columns])).float()

        self.sizes = [v.type.size for v in self.values]
        self.now = torch.cat([network.states[v.name].ravel() for v in self.values]).requires_grad_(True)
        self.exact = self.now.detach().clone()  # a master's, or what Q.8 holds
        square = whole(lambda v: np.asarray(v.type.quant.scale if v.type.quant else (1.0,), np.float64) ** 2)
        alive = whole(lambda v: live.get(v.name, np.ones(v.type.shape[0])))
        self.factor = torch.where(alive > 0, 1 / square if recipe.qas else 1.0, 0.0)
        self.real, self.weight = (
            whole(lambda v, t=t: np.array([v.type.dtype is t])) > 0 for t in (DType.F32, DType.S8)
        )
        self.low = torch.where(self.weight, -128.0, -(2.0**31))
        self.high = torch.where(self.weight, 127.0, 2.0**31)

    def states(self) -> Tensors:
        """Each state by itself."""
        parts = zip(self.values, self.now.split(self.sizes), strict=True)
        return {v.name: part.reshape(v.type.shape) for v, part in parts}

    @torch.no_grad()
    def update(self, rate: float, bits: torch.Generator) -> None:
        """One step."""
        assert self.now.grad is not None
        step = self.now.grad * self.factor * rate
        self.now.grad = None
        self.now.copy_(torch.where(self.real, self.now - step, self._moved(step, bits)))

    def _moved(self, step: torch.Tensor, bits: torch.Generator) -> torch.Tensor:
        """Integers after a step in their units; biases are rounded stochastically by every rule that is any good."""
        rule = self.recipe.rule
        if rule == "nearest":
            return (self.now - step).round().clamp(self.low, self.high)
        if rule == "truncate":
            moved = (self.now - step).trunc()
            return torch.where(self.weight, torch.remainder(moved + 128, 256) - 128, moved)
        drawn = self.now + torch.floor(torch.rand(step.shape, generator=bits) - step)
        if rule != "stochastic":
            self.exact = self._kept(step, bits).clamp(self.low, self.high)
            drawn = torch.where(self.weight, self.exact.round(), drawn)
        return drawn.clamp(self.low, self.high)

    def _kept(self, step: torch.Tensor, bits: torch.Generator) -> torch.Tensor:
        """A master, or what a residual of 8 bits holds, which is rounded stochastically."""
        if self.recipe.rule == "residual8":
            return self.exact + torch.floor(torch.rand(step.shape, generator=bits) - step * 256) / 256
        return self.exact - step


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
    trained = Trained(network, recipe)
    classes, bits = torch.tensor(labels.astype(np.int64)), torch.Generator().manual_seed(recipe.seed)
    schedule = recipe.schedule(len(labels))
    for number, chosen in enumerate(recipe.order(len(labels))):
        some = torch.tensor(chosen)
        scores = network.scores({k: v[some] for k, v in given.items()}, network.states | trained.states())
        functional.cross_entropy(scores, classes[some]).backward()
        trained.update(schedule.at(number), bits)
    return network.states | {k: s.detach() for k, s in trained.states().items()}


def accuracy(network: Network, given: Mapping[str, torch.Tensor], labels: Array, states: Tensors) -> float:
    """Percent of the samples whose highest score is that of their class."""
    right = 0
    for at in range(0, len(labels), 64):
        scores = network.scores({k: v[at : at + 64] for k, v in given.items()}, states)
        right += int((scores.argmax(1).numpy() == labels[at : at + 64]).sum())
    return 100 * right / len(labels)
