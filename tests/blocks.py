"""The backward of inverted residual blocks, written by hand: what loops over channels are for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.ir import Builder, Module, State
from tte.ops.add import Add
from tte.ops.bias_grad import BiasGrad
from tte.ops.conv_grad_w import ConvGradW
from tte.ops.conv_grad_x import ConvGradX
from tte.ops.mask_grad import MaskGrad
from tte.ops.update import Update
from tte.types import Array, DType, Quant, TensorType, Value

F32, S8, S32, U1 = DType.F32, DType.S8, DType.S32, DType.U1


@dataclass(frozen=True)
class Shape:
    """Of a block: its map, channels in, hidden and out, the first of those in that are trained, filter and stride."""

    size: int = 8
    ci: int = 12
    hidden: int = 24
    co: int = 12
    k: int = 4
    kernel: int = 3
    stride: int = 1
    depthwise: int = 0  # filters that are trained, too
    project: bool = False  # the last convolution's weights are trained, too
    upward: bool = True  # the gradient of the block's input is asked for


class Block(Builder):
    """Grows the backward of one block."""

    def __init__(self, shape: Shape, seed: int = 0) -> None:
        super().__init__("infer")
        self.shape, self.rng, self.steps = shape, np.random.default_rng(seed), list[tuple[Value, Value]]()
        self.rate = self.resident("rate", TensorType((1,), F32), np.array([0.01], "f4"))
        self.clock = self.resident("clock", TensorType((2,), S32), np.array([3, 5], "i4"))

    def resident(self, name: str, type: TensorType, value: Array) -> Value:
        """A state in sram."""
        self.states.append(State(Value(name, type), value, "sram"))
        self._taken.add(name)
        return self.states[-1].value

    def filters(self, name: str, shape: tuple[int, ...], sram: bool) -> Value:
        t = TensorType(shape, S8, Quant(tuple(self.rng.uniform(0.01, 0.1, shape[0])), 0, 0))
        data = self.rng.integers(-128, 128, shape, np.int8)
        return self.resident(name, t, data) if sram else self.constant(name, t, data)

    def scales(self, name: str, n: int) -> Value:
        return self.constant(name, TensorType((n,), F32), self.rng.uniform(0.5, 2, n).astype("f4"))

    def masked(self, g: Value, name: str) -> Value:
        mask = self.input(f"mask_{name}", TensorType(g.type.shape, U1))
        return self.emit(MaskGrad(), g, mask, self.scales(f"scale_{name}", g.type.shape[3]), name=f"g_{name}")[0]

    def bias(self, g: Value, name: str) -> None:
        """Train a bias."""
        n = g.type.shape[3]
        t = TensorType((n,), S32, Quant(tuple(self.rng.uniform(0.001, 0.1, n)), 0, 0))
        b = self.resident(f"b_{name}", t, self.rng.integers(-999, 999, n, np.int32))
        (d,) = self.emit(BiasGrad(), g, self.scales(f"db_{name}_scale", n), name=f"db_{name}")
        self.steps.append((b, d))

    def updates(self) -> list[tuple[Value, Value]]:
        """What is trained, and its new values."""
        made = []
        for i, (w, d) in enumerate(self.steps):
            made.append((w, *self.emit(Update(i), w, d, self.rate, self.clock, name=f"{w.name}_new")))
        return made

    def weights(self, w: Value, g: Value, x: Value, *geometry: object, name: str, depthwise: bool = False) -> None:
        """Train some channels of a filter."""
        scale = self.scales(f"dw_{name}_scale", w.type.shape[0])
        op = ConvGradW(*geometry, w.type.shape[1:3], depthwise)  # type: ignore[arg-type]
        self.steps.append((w, *self.emit(op, g, x, scale, name=f"dw_{name}")))

    def saved(self, name: str, shape: tuple[int, ...]) -> Value:
        return self.input(name, TensorType(shape, S8, Quant((0.05,), 3)))


def block(shape: Shape, seed: int = 0) -> Module:
    """g, masks and what was saved give the gradient of the block's input, or its norm's stand-in, and new states."""
    b, s = Block(shape, seed), shape
    pad = s.kernel // 2
    out = (s.size - 1) // s.stride + 1
    flat, same = ((1, 1), (0, 0, 0, 0), (1, 1)), ((s.stride,) * 2, (pad,) * 4, (1, 1))
    g = b.input("g", TensorType((1, out, out, s.co), F32))
    gp = b.masked(g, "p")
    b.bias(gp, "p")
    wp = b.filters("w_p", (s.co, 1, 1, s.k if s.project else s.hidden), s.project)
    rest = (b.filters("w_p_rest", (s.co, 1, 1, s.hidden - s.k), False),) if s.project else ()
    if s.project:
        b.weights(wp, gp, b.saved("x_p", (1, out, out, s.k)), *flat, name="p")
    gd = b.masked(*b.emit(ConvGradX(*flat, (out, out)), gp, wp, *rest), "d")
    b.bias(gd, "d")
    wd = b.filters("w_d", (s.depthwise or s.hidden, s.kernel, s.kernel, 1), bool(s.depthwise))
    more = s.hidden - s.depthwise if s.depthwise else 0
    rest = (b.filters("w_d_rest", (more, s.kernel, s.kernel, 1), False),) if more else ()
    if s.depthwise:
        x = b.saved("x_d", (1, s.size, s.size, s.depthwise))
        b.weights(wd, gd, x, *same, name="d", depthwise=True)
    ge = b.masked(*b.emit(ConvGradX(*same, (s.size, s.size), True), gd, wd, *rest), "e")
    b.bias(ge, "e")
    x = b.saved("x", (1, s.size, s.size, s.k))
    we = b.filters("w_e", (s.hidden, 1, 1, s.k), True)
    rest = (b.filters("w_e_rest", (s.hidden, 1, 1, s.ci - s.k), False),)
    b.weights(we, ge, x, *flat, name="e")
    if s.upward:
        (y,) = b.emit(ConvGradX(*flat, (s.size, s.size)), ge, we, *rest, name="gx")
        if s.stride == 1 and s.ci == s.co:
            (y,) = b.emit(Add(), y, g, name="gx_sum")
    else:
        (y,) = b.emit(Add(), g, g, name="twice")
    return Module("block", tuple(b.states), (b.finish(y, updates=b.updates()),))


def inputs(module: Module, seed: int = 1) -> dict[str, Array]:
    """Arguments drawn at random."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for v in module.graphs[0].ins:
        match v.type.dtype:
            case DType.F32:
                found[v.name] = rng.standard_normal(v.type.shape).astype("f4")
            case DType.U1:
                found[v.name] = rng.integers(0, 2, v.type.shape, np.uint8)
            case _:
                found[v.name] = rng.integers(-128, 128, v.type.shape, np.int8)
    return found
