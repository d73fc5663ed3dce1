"""Small networks, in float or int8, to be trained in part."""

from __future__ import annotations

import numpy as np

from tte.interp import interpret
from tte.ir import Builder, Module
from tte.op import Arrays
from tte.ops.add import Add
from tte.ops.average_pool import AveragePool
from tte.ops.conv import Conv
from tte.ops.linear import Linear
from tte.ops.reshape import Reshape
from tte.training.plan import Part, TrainPlan
from tte.types import Array, DType, Quant, TensorType, Value


class Net:
    """A small network, in float or int8."""

    def __init__(self, seed: int = 0, dtype: DType = DType.S8) -> None:
        self.builder, self.rng, self.dtype = Builder("infer"), np.random.default_rng(seed), dtype
        self.x = self.builder.input("x", self.type((1, 6, 6, 3)))

    def type(self, shape: tuple[int, ...]) -> TensorType:
        return TensorType(shape, self.dtype, self.quant)

    @property
    def quant(self) -> Quant | None:
        return Quant((0.05,), 3) if self.dtype is DType.S8 else None

    def conv(self, name: str, x: Value, shape: tuple[int, ...], **fields: object) -> Value:
        op = Conv(out=self.quant, low=0.0, **fields)  # type: ignore[arg-type]
        return self.builder.emit(op, x, *self.weights(name, shape), source=name)[0]

    def linear(self, name: str, x: Value, n: int) -> Value:
        return self.builder.emit(Linear(), x, *self.weights(name, (n, x.type.shape[1])), source=name)[0]

    def weights(self, name: str, shape: tuple[int, ...]) -> tuple[Value, Value]:
        real = self.dtype is DType.F32
        scales = None if real else Quant(tuple(self.rng.uniform(0.004, 0.02, shape[0])), 0, 0)
        w = self.rng.normal(size=shape) if real else self.rng.integers(-127, 128, shape)
        b = self.rng.normal(size=shape[0]) if real else self.rng.integers(-900, 900, shape[0])
        bias = DType.F32 if real else DType.S32
        return (
            self.builder.constant(f"{name}_w", TensorType(shape, self.dtype, scales), w.astype(self.dtype.numpy)),
            self.builder.constant(f"{name}_b", TensorType(shape[:1], bias), b.astype(bias.numpy)),
        )

    def emit(self, op: object, *ins: Value) -> Value:
        return self.builder.emit(op, *ins)[0]  # type: ignore[arg-type]

    def module(self, *outs: Value) -> Module:
        return Module("m", tuple(self.builder.states), (self.builder.finish(*outs),))


def residual(dtype: DType = DType.S8, seed: int = 0) -> Module:
    """stem -> a; b = a + project(depthwise(expand(a))); the head reads the mean of conv(b)."""
    net = Net(seed, dtype)
    same = (1, 1, 1, 1)
    a = net.conv("stem", net.x, (8, 3, 3, 3), pads=same)
    y = net.conv("expand", a, (12, 1, 1, 8))
    y = net.conv("depthwise", y, (12, 3, 3, 1), pads=same)
    y = net.conv("project", y, (8, 1, 1, 12))
    y = net.emit(Add(out=net.quant), a, y)
    y = net.conv("last", y, (10, 1, 1, 8))
    y = net.emit(Reshape((1, 10)), net.emit(AveragePool((6, 6), out=net.quant), y))
    return net.module(net.linear("head", y, 4))


def outputs(module: Module, seed: int = 1) -> Arrays:
    """What `infer` gives for one input at random."""
    graph, rng = module.graph("infer"), np.random.default_rng(seed)

    def draw(t: TensorType) -> Array:
        if t.dtype is DType.F32:
            return rng.normal(size=t.shape).astype(np.float32)
        return rng.integers(-128, 128, t.shape).astype(np.int8)

    states = {s.value.name: s.init for s in module.states}
    found, _ = interpret(graph, {v.name: draw(v.type) for v in graph.ins}, states)
    return tuple(found[v.name] for v in graph.outs)


def state(module: Module, name: str) -> Array:
    return next(s.init for s in module.states if s.value.name == name)


def plan(*parts: Part, biases: int = 0, **fields: object) -> TrainPlan:
    return TrainPlan(biases, 0, parts, **fields)  # type: ignore[arg-type]
