"""ONNX's operators on single elements, and softmax. Floor 5."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tte.frontend.onnx_scope import Handler, Scope, axis_of, elements
from tte.frontend.onnx_tensor import Fixed, Live, Tensor
from tte.op import Op
from tte.ops.add import Add, Sub
from tte.ops.clamp import Clamp
from tte.ops.conv import Conv
from tte.ops.hard_sigmoid import HardSigmoid
from tte.ops.hard_swish import HardSwish
from tte.ops.leaky_relu import LeakyRelu
from tte.ops.mul import Mul
from tte.ops.sigmoid import Sigmoid
from tte.ops.softmax import Softmax
from tte.ops.tanh import Tanh
from tte.types import Array, Rounding


def binary(op: Op) -> Handler:
    """Of two tensors; axes of size 1 are repeated. In NHWC order if one of them is."""

    def handler(s: Scope) -> Tensor:
        a, b = s.get(0), s.get(1)
        if (affine := by_channel(s, a, b)) is not None:
            return affine
        rank = max(len(a.shape), len(b.shape))
        nhwc = any(isinstance(x, Live) and x.nhwc and x.rank == rank for x in (a, b))
        values = (s.arranged(x, rank, nhwc, n) for x, n in zip((a, b), s.call.ins, strict=True))
        return Live(s.emit(op, *values), rank, nhwc)

    return handler


def by_channel(s: Scope, a: Tensor, b: Tensor) -> Tensor | None:
    """One operand a float constant, the same along all axes but one: a factor or an offset per channel."""
    x, c = (a, b) if isinstance(a, Live) else (b, a)
    if not isinstance(x, Live) or not isinstance(c, Fixed) or c.quant is not None or len(c.shape) > x.rank:
        return None
    wide = (1,) * (x.rank - len(c.shape)) + c.shape
    axes = [i for i, n in enumerate(wide) if n != 1] or [1 if x.nhwc else x.rank - 1]
    if len(axes) != 1 or axes[0] < 0 or wide[axes[0]] not in (1, x.shape[axes[0]]) or c.array.dtype != np.float32:
        return None
    v = np.broadcast_to(c.array.astype(np.float64).reshape(-1), (x.shape[axes[0]],))
    one, zero = np.ones_like(v), np.zeros_like(v)
    swapped = c is a
    factor, offset = {
        "Add": (one, v),
        "Sub": (-one, v) if swapped else (one, -v),
        "Mul": (v, zero),
        "Div": (1 / v if s.call.op == "Div" else one, zero),
    }[s.call.op]
    if x.rank in (3, 4) and axes[0] == 1:
        return scaled(s, x, factor, offset)
    if axes[0] != x.rank - 1:
        return None
    flat = Live(s.reshaped(s.plain(x), (1, elements(x.shape[:-1]), 1, x.shape[-1])), 4, True)
    y = scaled(s, flat, factor, offset)
    return Live(s.reshaped(y.value, x.shape), x.rank) if isinstance(y, Live) else None


def batch_norm(s: Scope) -> Tensor:
    """As a depthwise convolution of size 1, which merges with the one before it."""
    x = s.live(0)
    s.require(s.call.integer("training_mode", 0) == 0, "is in training mode", "export the model for inference")
    scale, bias, mean, var = (s.constant(i, "a statistic").astype(np.float64) for i in range(1, 5))
    c = x.shape[1] if x.rank > 1 else 0
    s.require(all(v.shape == (c,) for v in (scale, bias, mean, var)), f"statistics must have {c} elements")
    s.require(bool((var + s.call.number("epsilon", 1e-5) > 0).all()), "a variance is negative")
    factor = scale / np.sqrt(var + s.call.number("epsilon", 1e-5))
    return scaled(s, x, factor, bias - mean * factor)


def scaled(s: Scope, x: Live, factor: Array, offset: Array) -> Tensor:
    """x * factor + offset, per channel: axis 1 of three or four dimensions, or the last of two."""
    w = factor.astype(np.float32).reshape(-1, 1, 1, 1)
    names = f"{s.call.outs[0]}_factor", f"{s.call.outs[0]}_offset"
    weights, b = s.held(Fixed(w), names[0]), s.held(Fixed(offset.astype(np.float32)), names[1])
    if x.rank == 2:
        n = x.shape[1]
        s.require(x.shape[0] == 1, "a batch is not supported")
        return Live(s.reshaped(s.emit(Conv(), s.reshaped(x.value, (1, 1, 1, n)), weights, b), (1, n)), 2)
    return Live(s.emit(Conv(), s.nhwc(x), weights, b), x.rank, True)


def softmax(s: Scope) -> Tensor:
    """Along one axis; before opset 13 along all axes from one on."""
    x = s.live(0)
    old = s.opset < 13
    axis = axis_of(s, s.call.integer("axis", 1 if old else -1), x.rank)
    if x.nhwc and axis == 1 and (not old or x.shape[2:] in ((1, 1), (1,))):
        return replace(x, value=s.emit(Softmax(), x.value))
    if old and elements(x.shape[axis + 1 :]) != 1:
        flat = s.reshaped(s.plain(x), (elements(x.shape[:axis]), elements(x.shape[axis:])))
        return Live(s.reshaped(s.emit(Softmax(), flat), x.shape), x.rank)
    order = (*(i for i in range(x.rank) if i != axis), axis)
    y = s.emit(Softmax(), s.moved(s.plain(x), order))
    return Live(s.moved(y, tuple(order.index(i) for i in range(x.rank))), x.rank)


def unary(make: Callable[[Scope], Op]) -> Handler:
    """Of one tensor, whatever its layout."""

    def handler(s: Scope) -> Tensor:
        x = s.live(0)
        return replace(x, value=s.emit(make(s), x.value))

    return handler


def clip(s: Scope) -> Op:
    """Bounds are attributes before opset 11, inputs since; either may be absent."""
    low, high = (bound(s, i, name) for i, name in ((1, "min"), (2, "max")))
    return Clamp(-math.inf if low is None else low, math.inf if high is None else high)


def bound(s: Scope, i: int, name: str) -> float | None:
    """A bound of a Clip."""
    if not s.has(i):
        return s.call.number(name, 0.0) if name in s.call.attributes else None
    found = s.constant(i, name)
    s.require(found.size == 1 and not np.isnan(found).any(), f"{name} must be one number")
    return float(found.reshape(()))


def divide(s: Scope) -> Tensor:
    """By a float constant: a factor."""
    a, b = s.live(0), s.get(1)
    found = by_channel(s, a, b) if isinstance(b, Fixed) and b.array.all() else None
    if found is None:
        raise s.fail("division is supported only by constants, one or one per channel")
    return found


HANDLERS: dict[str, Handler] = {
    "BatchNormalization": batch_norm,
    "Add": binary(Add()),
    "Sub": binary(Sub()),
    "Mul": binary(Mul()),
    "Div": divide,
    "Relu": unary(lambda s: Clamp(0.0)),
    "Clip": unary(clip),
    "LeakyRelu": unary(lambda s: LeakyRelu(s.call.number("alpha", 0.01))),
    "Sigmoid": unary(lambda s: Sigmoid()),
    "HardSigmoid": unary(lambda s: HardSigmoid(s.call.number("alpha", 0.2), s.call.number("beta", 0.5))),
    "HardSwish": unary(lambda s: HardSwish(rounding=Rounding.ONNX)),
    "Tanh": unary(lambda s: Tanh()),
    "Softmax": softmax,
}
