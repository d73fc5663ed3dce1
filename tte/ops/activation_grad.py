"""Gradients of functions of one number: floats by a formula, integers by a table of slopes. Floor 2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from tte.op import Arrays, Example, Grows, Kernel, Op, Params, Slices, Types, Values
from tte.types import Array, DType, TensorType, Value

F32, S8 = DType.F32, DType.S8

_kernel = partial(
    Kernel,
    header="activation_grad.h",
    ins=(F32, F32),
    outs=(F32,),
    params="tte_activation_grad",
    form="channels",
    inplace=((0, 0), (1, 0)),
    per_out=8.0,
)


class ActivationGrad(Op):
    """Base: g times the slope at `of`, element by element."""

    __slots__ = ()
    listed = False
    operands: ClassVar[tuple[str, ...]] = ("g", "of")

    def infer(self, *types: TensorType) -> Types:
        """g and `of` of one shape give y."""
        g, of = types[:2]
        self.expect(g.dtype is F32 and g.shape == of.shape != (), f"{g} and {of} must be of one shape, g f32")
        return (g,)

    def slope(self, of: Array) -> Array:
        """In the order of the C kernel."""
        raise NotImplementedError

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        g, of = args[:2]
        return ((g * self.slope(of)).astype(g.dtype),)

    def slices(self, ins: Types, outs: Types) -> tuple[Slices, ...]:
        """Any channels."""
        last = len(outs[0].shape) - 1
        return (Slices((last, last, None)[: len(ins)], (last,)),)

    def params(self, ins: Types, outs: Types) -> Params:
        """Pixels, channels, and the distances of pixels."""
        (g, of), c = ins[:2], outs[0].shape[-1]
        sizes: Params = {"pixels": outs[0].size // c, "channels": c}
        return sizes | {"g_pitch": g.shape[-1], "of_pitch": of.shape[-1], "y_pitch": c}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Random numbers, and the corners."""
        t = TensorType((2, 3, 7), F32)
        e = Example.random(cls(), t, t)
        e.args[1][0, 0] = -3, 3, 0, 1, -1, 0.5, 1e9
        return (e,)


@dataclass(frozen=True, slots=True)
class SigmoidGrad(ActivationGrad):
    """y = g * of * (1 - of); `of` is the sigmoid's result."""

    listed = True
    kernels = (_kernel("tte_sigmoid_grad"),)

    def slope(self, of: Array) -> Array:
        """Of the result."""
        return of * (np.float32(1) - of)


@dataclass(frozen=True, slots=True)
class TanhGrad(ActivationGrad):
    """y = g * (1 - of * of); `of` is the tanh's result."""

    listed = True
    kernels = (_kernel("tte_tanh_grad"),)

    def slope(self, of: Array) -> Array:
        """Of the result."""
        return np.float32(1) - of * of


@dataclass(frozen=True, slots=True)
class HardSwishGrad(ActivationGrad):
    """y = g * (0 for of <= -3, 1 for of >= 3, else (2 * of + 3) / 6); `of` is the argument of hard_swish."""

    listed = True
    kernels = (_kernel("tte_hard_swish_grad"),)

    def slope(self, of: Array) -> Array:
        """Of the argument."""
        line = (of + of + np.float32(3)) / np.float32(6)
        return np.where(of <= -3, 0, np.where(of >= 3, 1, line)).astype(of.dtype)


@dataclass(frozen=True, slots=True)
class LeakyReluGrad(ActivationGrad):
    """y = g where of > 0, else g * alpha; `of` is the argument of leaky_relu."""

    alpha: float = 0.01

    listed = True
    kernels = (_kernel("tte_leaky_relu_grad", params="tte_leaky_relu_grad"),)

    def slope(self, of: Array) -> Array:
        """Of the argument."""
        return np.where(of > 0, of.dtype.type(1), np.float32(self.alpha))

    def params(self, ins: Types, outs: Types) -> Params:
        """As ever, and alpha."""
        return ActivationGrad.params(self, ins, outs) | {"alpha": float(self.alpha)}


@dataclass(frozen=True, slots=True)
class LutGrad(ActivationGrad):
    """y = g * table[of as a byte] for s8: the slope for every integer of an argument."""

    listed = True
    operands = ("g", "of", "table")
    kernels = (_kernel("tte_lut_grad", ins=(F32, S8, F32), inplace=((0, 0),)),)

    def infer(self, *types: TensorType) -> Types:
        """g and `of` of one shape and table[256] give y."""
        _, of, table = types
        self.expect(of.dtype is S8 and table == TensorType((256,), F32), f"{of} must be s8, {table} f32[256]")
        return ActivationGrad.infer(self, *types)

    def reference(self, args: Arrays, ins: Types, outs: Types) -> Arrays:
        """Bit-exact."""
        g, of, table = args
        return ((g * table[of.view(np.uint8)]).astype(g.dtype),)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Any table."""
        t = TensorType((1, 4, 5, 7), F32)
        return (Example.random(cls(), t, TensorType(t.shape, S8), TensorType((256,), F32), consts=(2,)),)


def by_table(
    graph: Grows, grad: Value, ins: Values, outs: Values, f: Callable[[Array], Array], slope: Callable[[Array], Array]
) -> Value:
    """The gradient of the s8 argument of y = clamp(f(x)): by the slope of f, 0 where f(x) leaves what s8 can say.

    f and its slope are of reals, in float64.
    """
    x, y = ins[0].type.scaling, outs[0].type.scaling
    real = (np.arange(256).astype(np.uint8).view(np.int8).astype(np.float64) - x.zero) * x.scale[0]
    q = np.round(f(real) / y.scale[0]) + y.zero
    table = np.where((q >= -128) & (q <= 127), slope(real), 0).astype(np.float32)
    return graph.emit(LutGrad(), grad, ins[0], graph.constant("slopes", TensorType((256,), F32), table))[0]
