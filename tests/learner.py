"""A linear classifier in int8 that learns, written by hand: what the training API is tried on."""

from __future__ import annotations

import numpy as np

from tte.ir import Builder, Graph, Module, State
from tte.ops.dequantize import Dequantize
from tte.ops.linear import Linear
from tte.ops.momentum import Momentum
from tte.ops.mul import Mul
from tte.ops.reshape import Reshape
from tte.ops.softmax_cross_entropy import SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad
from tte.ops.tick import Tick
from tte.ops.update import Update
from tte.types import Array, DType, Quant, TensorType, Value

F32, S8, S32 = DType.F32, DType.S8, DType.S32
INPUTS, CLASSES = 5, 3
X = TensorType((1, INPUTS), S8, Quant((0.02,), 3))
ROWS = (0.01, 0.02, 0.03)
W = TensorType((CLASSES, INPUTS), S8, Quant(ROWS, 0, 0))
B = TensorType((CLASSES,), S32, Quant(tuple(0.02 * r for r in ROWS), 0, 0))
M = TensorType(W.shape, F32)


def learner() -> Module:
    """Weights and biases are rounded at random, and weights have a momentum: every kind of state is there."""
    weights = np.random.default_rng(0).integers(-90, 90, W.shape, np.int8)
    states = (
        _state("w", W, weights),
        _state("b", B, np.zeros(CLASSES, np.int32)),
        _state("m", M, np.zeros(M.shape, np.float32)),
        _state("rate", TensorType((1,), F32), np.full(1, 0.1, np.float32)),
        _state("clock", TensorType((2,), S32), np.array([0, 7], np.int32)),
    )
    return Module("learner", states, (_infer(states), _train_step(states)))


def _state(name: str, t: TensorType, init: Array) -> State:
    return State(Value(name, t), init, "sram")


def _infer(states: tuple[State, ...]) -> Graph:
    b = Builder("infer", states)
    return b.finish(*b.emit(Linear(), b.input("x", X), states[0].value, states[1].value))


def _train_step(states: tuple[State, ...]) -> Graph:
    b = Builder("train_step", states)
    w, bias, m, rate, clock = (s.value for s in states)
    x, label = b.input("x", X), b.input("label", TensorType((1,), S32))
    loss, p = b.emit(SoftmaxCrossEntropy(), *b.emit(Linear(), x, w, bias), label)
    (g,) = b.emit(SoftmaxCrossEntropyGrad(), p, label)
    (dw,) = b.emit(Mul(), *b.emit(Reshape((CLASSES, 1)), g), *b.emit(Dequantize(), x))
    (moved,) = b.emit(Momentum(), m, dw)
    updates = (
        (w, *b.emit(Update(0), w, moved, rate, clock)),
        (bias, *b.emit(Update(1), bias, *b.emit(Reshape((CLASSES,)), g), rate, clock)),
        (m, moved),
        (clock, *b.emit(Tick(), clock)),
    )
    return b.finish(loss, p, updates=updates)
