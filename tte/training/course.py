"""The course of a training: its rates, and what came of it. Floor 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

WARM_UP = 0.05  # of all steps (RECIPES)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A learning rate that rises in a straight line for `warm_up` of all steps, and falls to zero by half a cosine."""

    rate: float
    steps: int
    warm_up: float = WARM_UP

    def at(self, step: int) -> float:
        """The rate of a step, from 0 on."""
        warm = max(1, round(self.steps * self.warm_up))
        if step < warm:
            return self.rate * (step + 1) / warm
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))


@dataclass(frozen=True, slots=True)
class Epoch:
    """What came of one pass over the examples; number 0 is before any. Accuracies lie between 0 and 1.

    `loss` is the mean over the epoch, and `train` the share of examples that were right before their step. `tested` is
    the share of each class of the tests that is right, None for a class without tests.
    """

    number: int
    loss: float | None
    train: float | None
    test: float | None
    tested: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """A training from before its first step on, and the loss of every step."""

    epochs: tuple[Epoch, ...]
    losses: tuple[float, ...]
