"""A linear classifier in f32 that learns, written by hand from ops of inference: what the training API is tried on."""

from __future__ import annotations

import numpy as np

from tte.ir import Builder, Graph, Module, State
from tte.ops.add import Add, Sub
from tte.ops.linear import Linear
from tte.ops.mul import Mul
from tte.ops.reshape import Reshape
from tte.types import DType, TensorType, Value

F32 = DType.F32
INPUTS, CLASSES = 5, 3


def learner() -> Module:
    """y = w x + b; train_step moves y towards x's first elements. `clock` only counts: no rounding is random here."""
    rng = np.random.default_rng(0)
    states = [
        _state("w", rng.standard_normal((CLASSES, INPUTS)).astype(np.float32)),
        _state("b", np.zeros(CLASSES, np.float32)),
        _state("rate", np.full(1, 0.1, np.float32)),
        State(Value("clock", TensorType((2,), DType.S32)), np.array([0, 7], np.int32), "sram"),
    ]
    graphs = _infer(states), _train_step(states)
    return Module("learner", tuple(states), graphs)


def _state(name: str, init: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> State:
    return State(Value(name, TensorType(init.shape, F32)), init, "sram")


def _infer(states: list[State]) -> Graph:
    b = Builder("infer", states)
    x = b.input("x", TensorType((1, INPUTS), F32))
    return b.finish(*b.emit(Linear(), x, states[0].value, states[1].value))


def _train_step(states: list[State]) -> Graph:
    b = Builder("train_step", states)
    w, bias, rate = (s.value for s in states[:3])
    x = b.input("x", TensorType((1, INPUTS), F32))
    b.input("label", TensorType((1,), DType.S32))
    (y,) = b.emit(Linear(), x, w, bias)
    (error,) = b.emit(Add(), y, y)  # of the square: dy = 2 y, so that all goes to 0
    (loss,) = b.emit(Linear(), y, *(b.constant(n, t, np.ones(t.shape, np.float32)) for n, t in ONES))
    (step,) = b.emit(Mul(), error, rate)
    (column,) = b.emit(Reshape((CLASSES, 1)), step)
    (dw,) = b.emit(Mul(), column, x)
    (flat,) = b.emit(Reshape((CLASSES,)), step)
    updates = (w, *b.emit(Sub(), w, dw)), (bias, *b.emit(Sub(), bias, flat))
    states[:] = b.states
    (total,) = b.emit(Reshape((1,)), loss)
    return b.finish(total, y, updates=updates)


ONES = (("ones", TensorType((1, CLASSES), F32)), ("zero", TensorType((1,), F32)))
