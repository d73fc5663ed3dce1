"""torch as the oracle of gradients: a graph over real numbers in float64, straight through what rounds and clamps.

Every tensor is the real number that its integers stand for. Of each quantised result the device's own integers and mask
are put in, so that the gradients are those at the very point where the device stood.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from tte.ir import Graph, Node
from tte.types import Array, DType, TensorType, Value

Reals = dict[str, torch.Tensor]
LOSSES = {"softmax_cross_entropy": "label", "mean_squared_error": "target"}


def real(array: Array, t: TensorType) -> Array:
    """The numbers, in float64, that `array` stands for."""
    if t.quant is None:
        return np.asarray(array, np.float64)
    scale = np.asarray(t.quant.scale).reshape([-1 if k == t.quant.axis else 1 for k in range(len(t.shape))])
    return scale * (np.asarray(array, np.float64) - t.quant.zero)


def gradients(
    graph: Graph,
    states: Mapping[str, Array],
    inputs: Mapping[str, Array],
    label: Array,
    forward: Mapping[str, Array] | None = None,
    masks: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """dL/d(real value), in float64, of every state that the loss depends on.

    `label` s32[1] asks for softmax cross-entropy, floats for the mean squared error. The loss is that of the first
    operand of the graph's loss, or of its first output if it has none. `forward` has the device's results by name
    (what is missing is taken as computed, neither rounded nor forced), `masks` what was not clamped, by the name of
    the value that was or by their own (what is missing is computed from the reals).
    """
    run = Run(graph, states, inputs, forward or {}, masks or {})
    of = next((n.ins[0] for n in graph.nodes if n.op.label() in LOSSES), graph.outs[0])
    loss(run.value(of), label).backward()
    return {name: leaf.grad.numpy() for name, leaf in run.leaves.items() if leaf.grad is not None}


def loss(y: torch.Tensor, label: Array) -> torch.Tensor:
    """Softmax cross-entropy of a class, or the mean squared error of floats."""
    if np.issubdtype(np.asarray(label).dtype, np.integer):
        return F.cross_entropy(y.reshape(1, -1), torch.tensor(np.asarray(label, np.int64).reshape(1)))
    return F.mse_loss(y, torch.tensor(np.asarray(label, np.float64)).reshape(y.shape))


@dataclass
class Run:
    """One forward pass; a value is computed when it is asked for."""

    graph: Graph
    states: Mapping[str, Array]
    inputs: Mapping[str, Array]
    forward: Mapping[str, Array]
    masks: Mapping[str, Array]
    leaves: Reals = field(default_factory=dict)
    known: Reals = field(default_factory=dict)

    def value(self, v: Value) -> torch.Tensor:
        if v.name not in self.known:
            self.known[v.name] = self._compute(v)
        return self.known[v.name]

    def _compute(self, v: Value) -> torch.Tensor:
        if v.name in self.inputs:
            return torch.tensor(real(self.inputs[v.name], v.type))
        if v.name in self.states:
            self.leaves[v.name] = torch.tensor(real(self.states[v.name], v.type), requires_grad=True)
            return self.leaves[v.name]
        node = next(n for n in self.graph.nodes if v in n.outs)
        before = RULES[node.op.label()](node, *(self.value(i) for i in node.ins))
        return self._finished(node, before)

    def _finished(self, node: Node, before: torch.Tensor) -> torch.Tensor:
        """The result as the device has it; its gradient passes where nothing was clamped."""
        y = node.outs[0]
        forced = torch.tensor(real(self.forward[y.name], y.type)) if y.name in self.forward else None
        low, high = limits(node)
        if (low, high) == (-math.inf, math.inf):
            return before if forced is None else forced + (before - before.detach())
        named = [self.masks[v.name] for v in node.outs if v.name in self.masks]
        if named:
            mask = torch.tensor(np.asarray(named[0], np.float64).reshape(y.type.shape))
        elif y.type.dtype is DType.F32:
            at = before.detach() if forced is None else forced
            mask = ((at > low) & (at < high)).double()
        else:
            mask = ((before.detach() >= low) & (before.detach() <= high)).double()
        kept = before.detach().clamp(low, high) if forced is None else forced
        return kept + mask * (before - before.detach())


def limits(node: Node) -> tuple[float, float]:
    """The reals between which the result is kept: by the op, and, of integers, by s8."""
    low, high = getattr(node.op, "low", -math.inf), getattr(node.op, "high", math.inf)
    y = node.outs[0].type
    if y.dtype is not DType.S8 or node.op.label() in MOVES:
        return low, high
    scale, zero = y.scaling.scale[0], y.scaling.zero
    half = scale / 2  # what rounds to the last integer was not clamped
    least, most = max(-128, round(low / scale) + zero if low > -math.inf else -128), 127
    most = min(most, round(high / scale) + zero) if high < math.inf else most
    return scale * (least - zero) - half, scale * (most - zero) + half


def nchw(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 3, 1, 2)


def nhwc(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1)


def padded(x: torch.Tensor, pads: tuple[int, int, int, int], value: float = 0.0) -> torch.Tensor:
    """NHWC with rows and columns of `value` around it, NCHW."""
    top, left, bottom, right = pads
    return F.pad(nchw(x), (left, right, top, bottom), value=value)


def conv(node: Node, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
    """The weights may be two tensors: some filters, if there are fewer than results, else some input channels."""
    op, taps = node.op, nchw(torch.cat((w, *rest), 0 if len(w) < len(b) else 3))
    groups = x.shape[3] // taps.shape[1]
    return nhwc(F.conv2d(padded(x, op.pads), taps, b, op.stride, 0, op.dilation, groups))


def linear(node: Node, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return F.linear(x, w, b)


def windows(node: Node, x: torch.Tensor, outside: float) -> torch.Tensor:
    """[1, c, taps, oh * ow]: what lies under each window."""
    op = node.op
    columns = F.unfold(padded(x, op.pads, outside), op.size, stride=op.stride)
    return columns.reshape(1, x.shape[3], math.prod(op.size), -1)


def average_pool(node: Node, x: torch.Tensor) -> torch.Tensor:
    inside = windows(node, torch.ones_like(x), 1.0 if node.op.padded else 0.0).sum(2)
    mean = windows(node, x, 0.0).sum(2) / inside
    return nhwc(mean.reshape(1, x.shape[3], *node.outs[0].type.shape[1:3]))


def max_pool(node: Node, x: torch.Tensor) -> torch.Tensor:
    """Of equal elements the first one counts."""
    under = windows(node, x, -math.inf)
    first = under.detach().max(2, keepdim=True).indices
    return nhwc(under.gather(2, first).reshape(1, x.shape[3], *node.outs[0].type.shape[1:3]))


def moved(node: Node, x: torch.Tensor) -> torch.Tensor:
    return x.permute(node.op.perm) if node.op.label() == "transpose" else x.reshape(node.outs[0].type.shape)


def pad(node: Node, x: torch.Tensor) -> torch.Tensor:
    flat = [n for pair in reversed(list(zip(node.op.before, node.op.after, strict=True))) for n in pair]
    return F.pad(x, flat)


RULES: dict[str, Callable[..., torch.Tensor]] = {
    "conv": conv,
    "linear": linear,
    "average_pool": average_pool,
    "max_pool": max_pool,
    "reshape": moved,
    "transpose": moved,
    "pad": pad,
    "add": lambda node, a, b: a + b,
    "sub": lambda node, a, b: a - b,
    "mul": lambda node, a, b: a * b,
    "mean": lambda node, x: x.mean(node.op.axes, keepdim=node.op.keep),
    "concat": lambda node, *xs: torch.cat(xs, node.op.axis),
    "softmax": lambda node, x: torch.softmax(node.op.beta * x, -1),
    "sigmoid": lambda node, x: torch.sigmoid(x),
    "tanh": lambda node, x: torch.tanh(x),
    "quantize": lambda node, x: x,
    "requantize": lambda node, x: x,
    "dequantize": lambda node, x: x,
    "clamp": lambda node, x: x,
}
MOVES = frozenset({"reshape", "transpose", "pad", "max_pool", "concat"})  # integers stay what they are
