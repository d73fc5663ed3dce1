"""How weights learn: the choice of optimiser and update rule, and the nodes that it becomes. Floor 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from tte.errors import BadModel
from tte.ir import Builder, State
from tte.ops.accumulate import Accumulate
from tte.ops.adam import Adam
from tte.ops.master_update import MasterUpdate
from tte.ops.momentum import Momentum
from tte.ops.mul import Mul
from tte.ops.residual_update import ResidualUpdate
from tte.ops.update import Update
from tte.types import DType, TensorType, Value

Loss: TypeAlias = Literal["cross-entropy", "mse"]
Optimizer: TypeAlias = Literal["sgd", "momentum", "adam"]
Rule: TypeAlias = Literal["stochastic", "residual8", "residual16", "master"]
Gradients: TypeAlias = Literal["f32", "int8", "int16"]
Pairs: TypeAlias = tuple[tuple[Value, Value], ...]

F32, S8 = DType.F32, DType.S8
RESIDUALS = {"residual8": S8, "residual16": DType.S16}


@dataclass(frozen=True, slots=True)
class Learning:
    """What the user chose.

    rate: by what an update multiplies its direction; seed: of the random bits. They are what the states of these names
    begin with. rule: how s8 weights keep steps below one; by stochastic rounding they need no memory for it. s32
    biases, whose steps are far finer, are rounded stochastically under every rule. accumulate: gradients whose mean is
    one update. gradients: what they are rounded to before they meet integers (passes/training/integer_gradients). qas:
    False gives integers the gradient of themselves, to show what then happens (DESIGN 5).
    """

    loss: Loss = "cross-entropy"
    optimizer: Optimizer = "sgd"
    rule: Rule = "stochastic"
    accumulate: int = 1
    rate: float = 0.25 / 256  # per example; RECIPES
    seed: int = 0
    gradients: Gradients = "f32"
    qas: bool = True
    beta1: float = 0.9  # of momentum too
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise BadModel("accumulate", f"{self.accumulate} gradients make no mean", "1 or more")
        if not 0 <= self.rate < np.inf:
            raise BadModel("rate", f"{self.rate:g} is no learning rate", "0 or more")


def emit_update(
    builder: Builder,
    learning: Learning,
    state: State,
    gradient: Value,
    rate: Value,
    clock: Value,
    number: int,
    frozen: tuple[int, ...] = (),
    unit: float = 1.0,
) -> Pairs:
    """Emit what turns a gradient into the state's new value; returns all states that change, (old, new).

    Adds what is kept from step to step to the builder's states. Channels of axis 0 that are `frozen` keep their
    integers; each state has its own `number`. What is learned are the weights divided by `unit`, as if what they are
    multiplied by were measured in it.
    """
    d, kept = _direction(builder, learning, state.value, _times(builder, gradient, unit), clock)
    d = _times(builder, d, unit)
    w, name, asked = state.value, f"{state.value.name}_next", (learning.qas, frozen)
    if w.type.dtype is not S8 or learning.rule == "stochastic":
        op = Update(number) if w.type.dtype is F32 else Update(number, *asked)
        return ((w, builder.emit(op, w, d, rate, clock, name=name)[0]), *kept)
    if learning.rule == "master":
        master = builder.state(f"{w.name}_master", _moment(w), state.init.astype(np.float32))
        news = builder.emit(MasterUpdate(*asked), w, master, d, rate, name=name)
        return ((w, news[0]), (master, news[1]), *kept)
    rest = TensorType(w.type.shape, RESIDUALS[learning.rule])
    r = builder.state(f"{w.name}_r", rest, np.zeros(rest.shape, rest.dtype.numpy))
    news = builder.emit(ResidualUpdate(number, *asked), w, r, d, rate, clock, name=name)
    return ((w, news[0]), (r, news[1]), *kept)


def _direction(builder: Builder, learning: Learning, w: Value, gradient: Value, clock: Value) -> tuple[Value, Pairs]:
    """Where the optimiser goes, zero in the steps that only accumulate; and its own states, (old, new)."""
    d, every, pairs = gradient, learning.accumulate, []

    def kept(suffix: str) -> Value:
        return builder.state(f"{w.name}_{suffix}", _moment(w), np.zeros(w.type.shape, np.float32))

    if every > 1:
        acc = kept("acc")
        total, d = builder.emit(Accumulate(every), acc, d, clock, name=f"{w.name}_mean")
        pairs.append((acc, total))
    if learning.optimizer == "momentum":
        m = kept("m")
        moved = builder.emit(Momentum(learning.beta1, every), m, d, *([clock] if every > 1 else []))
        pairs.append((m, moved[0]))
        d = moved[-1]
    elif learning.optimizer == "adam":
        m, v = kept("m"), kept("v")
        op = Adam(learning.beta1, learning.beta2, learning.eps, every)
        mean, square, d = builder.emit(op, m, v, d, clock)
        pairs += [(m, mean), (v, square)]
    return d, tuple(pairs)


def _times(builder: Builder, v: Value, factor: float) -> Value:
    """The tensor times a number."""
    if factor == 1:
        return v
    one = TensorType((1,) * len(v.type.shape), F32)
    return builder.emit(Mul(), v, builder.constant("unit", one, np.full(one.shape, factor, np.float32)))[0]


def _moment(w: Value) -> TensorType:
    return TensorType(w.type.shape, F32)
