"""The choice among plans: no better one fits than what is found, whatever the planner says plans take."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from tte.training.plan import Part, TrainPlan
from tte.training.search import FINALS, fitting
from tte.training.space import NOTHING, Choice, Option, Space, between

RATIOS = (0.25, 1.0)


def space(rng: np.random.Generator) -> Space:
    """Biases of up to 3 layers, weights of three."""
    options = [
        Option(
            10 - d,
            f"layer {d}",
            d,
            RATIOS,
            tuple(np.sort(rng.integers(1, 60, 2)).tolist()),
            (4, 9),
            tuple(gains.tolist()),
        )
        for d, gains in zip((1, 2, 3), rng.integers(0, 9, (3, 2)).astype(float), strict=True)
    ]
    return Space([0.0, *np.cumsum(rng.integers(-2, 5, 3)).tolist()], np.arange(4) * 8, options)


def contains(a: Choice, b: Choice) -> bool:
    return a.depth >= b.depth and all(x >= y for x, y in zip(a.levels, b.levels, strict=True))


@dataclass
class Board:
    """A planner: states, and beside them the largest of what the parts of a plan need."""

    of: Space
    need: dict[Choice, int]
    room: int
    asked: list[Choice] = field(default_factory=list)
    known: dict[TrainPlan, int] = field(default_factory=dict)

    def arena(self, choice: Choice) -> int:
        states = 8 * choice.depth + sum(
            o.bytes[k - 1] for o, k in zip(self.of.options, choice.levels, strict=True) if k
        )
        return states + max(n for c, n in self.need.items() if contains(choice, c))

    def choice(self, plan: TrainPlan) -> Choice:
        levels = [0] * len(self.of.options)
        for i, o in enumerate(self.of.options):
            levels[i] = next((1 + o.ratios.index(p.ratio) for p in plan.parts if p.layer == o.layer), 0)
        assert isinstance(plan.biases, int)
        return Choice(plan.biases, tuple(levels))

    def takes(self, plan: TrainPlan) -> int:
        self.asked.append(self.choice(plan))
        return self.arena(self.asked[-1])


@contextmanager
def silent(what: str, total: int) -> Generator[object]:
    yield lambda parts, words="": None


def every(of: Space) -> list[Choice]:
    return [Choice(int(d), tuple(row)) for d, row in zip(of.depth, of.levels.tolist(), strict=True)]


@pytest.mark.parametrize("seed", range(60))
def test_no_better_plan_fits(seed: int) -> None:
    """Against trying all of them, for planners whose needs grow with the plan."""
    rng = np.random.default_rng(seed)
    of = space(rng)
    some = [every(of)[i] for i in rng.choice(len(every(of)), 6, replace=False)]
    need = {Choice(0, (0, 0, 0)): 5} | {c: int(rng.integers(5, 90)) for c in some}
    board = Board(of, need, int(rng.integers(20, 200)))
    known = {c: board.arena(c) for c in every(of)}
    head = TrainPlan()
    if known[board.choice(head)] > board.room:
        return
    board.known[head] = board.takes(head)
    found = fitting(board, of, silent, 999)
    best = max(of.gained(c) for c in known if known[c] <= board.room)
    assert all(known[c] <= board.room for c in found)
    assert of.gained(found[0]) == best
    assert 1 <= len(found) <= FINALS


def test_few_plans_are_compiled() -> None:
    """A plan that doesn't fit rules out those that contain it."""
    of = space(np.random.default_rng(1))
    board = Board(of, {Choice(0, (0, 0, 0)): 5, Choice(1, (0, 0, 0)): 100}, 50)
    fitting(board, of, silent)
    assert len(board.asked) < 12 < len(every(of))


def test_gains_between_what_was_measured() -> None:
    option = Option(3, "c", 1, (0.125, 0.25, 0.5, 1.0), (1, 2, 4, 8), (0,) * 4, (0.0,) * 4)
    assert option.gaining({0.25: 3.0, 1.0: 5.0}).gains == pytest.approx((2.0, 3.0, 4.0, 5.0))
    assert option.upto(2).gaining({NOTHING * 8: 6.0}).gains == pytest.approx((4.0, 6.0))
    assert between([0, 2, 4], [0.0, 1.0, 5.0]) == [0.0, 0.5, 1.0, 3.0, 5.0]


def test_a_choice_is_a_plan() -> None:
    of = space(np.random.default_rng(0))
    assert of.plan(Choice(2, (2, 1, 0))) == TrainPlan(2, parts=(Part(9, 1.0), Part(8, 0.25)))
    assert not any(c.depth < 2 and any(c.levels[1:]) for c in every(of))
    assert not any(c.depth < 1 and c.levels[0] for c in every(of))
