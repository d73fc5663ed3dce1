"""How weights learn: the choice of optimiser and update rule, and the nodes that it becomes. Floor 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from tte.ir import Builder, State
from tte.ops.update import Update
from tte.types import Value

Pairs: TypeAlias = tuple[tuple[Value, Value], ...]


@dataclass(frozen=True, slots=True)
class Learning:
    """What the user chose; `rate` and `seed` are only what the states of these names begin with."""

    loss: Literal["cross-entropy", "mse"] = "cross-entropy"
    rate: float = 0.001
    seed: int = 0
    qas: bool = True


def emit_update(
    builder: Builder,
    learning: Learning,
    state: State,
    gradient: Value,
    rate: Value,
    clock: Value,
    number: int,
    frozen: tuple[int, ...] = (),
) -> Pairs:
    """Emit what turns a gradient into the state's new value; returns all states that change, (old, new)."""
    w = state.value
    (new,) = builder.emit(Update(number, learning.qas, frozen), w, gradient, rate, clock, name=f"{w.name}_next")
    return ((w, new),)
