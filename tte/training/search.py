"""The plan that learns best within so many bytes, found by training and compiling.

1. How deep biases fit. Compiled, by halving.
2. What each depth of biases brings over the head alone, and each layer's weights, at some ratios of its channels, over
   biases of all depths. Measured: the generated trainer learns a part of the data for a short while (trials.py).
3. The plan with the largest sum of contributions whose arena fits. They add up well enough to rank plans (RECIPES).
   Plans are compiled from the best on; each that doesn't fit rules out others (tte.training.space).
4. The best of these that fit, trained for longer; the one that does best is the plan.

Floor 11.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tte.errors import TteError
from tte.ops.conv import Conv
from tte.passes.training.layers import Layer, called, resolve
from tte.training.bench import Score
from tte.training.budget import Budget
from tte.training.plan import Part, TrainPlan
from tte.training.space import Choice, Option, Space, between
from tte.training.trials import Bar, Trials

RATIOS = (0.125, 0.25, 0.5, 1.0)
SOME = 0.25  # the ratio at which a layer is measured, beside the largest that fits
DEPTHS = 7  # of biases that are measured, beside none
FINALS = 3
LONGER = 3  # times the epochs, for these
CHOICES = 3_000_000  # that are looked at
LAYERS = 8  # that are measured at several ratios: those that gain most
COMPILED = 24  # plans, at most


class Memory(Protocol):
    """What plans take, and what there is: see tte.training.budget."""

    @property
    def room(self) -> int:
        """Bytes of an arena."""
        ...

    @property
    def known(self) -> Mapping[TrainPlan, int]:
        """Bytes of the plans that were asked for."""
        ...

    def takes(self, plan: TrainPlan) -> int:
        """Bytes of its arena."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan that was compiled, what it takes, and the sum of its contributions."""

    plan: TrainPlan
    arena: int
    gain: float


@dataclass(frozen=True, slots=True)
class Final:
    """A candidate that was trained by itself."""

    compiled: Candidate
    score: Score


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a part of a plan brings, as a share of 1: biases over the head alone, weights over biases alone."""

    what: str
    gain: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The best plan first of `finals`; whatever was compiled, by its bytes; the contributions, as they were measured.

    Gains are to be added to the score of the head alone.
    """

    head: Score
    finals: tuple[Final, ...]
    compiled: tuple[Candidate, ...]
    contributions: tuple[Contribution, ...]


def search(budget: Budget, trials: Trials, epochs: int, bar: Bar) -> Outcome:
    """The plan; TteError if not even the head can be trained."""
    deepest = _deepest(budget, bar)
    options = _options(budget, deepest)
    trials = trials.within(TrainPlan(deepest, parts=tuple(Part(o.layer) for o in options)))
    depths = sorted({round(deepest * i / DEPTHS) for i in range(DEPTHS + 1)})
    found = trials.contest([TrainPlan(d) for d in depths], epochs)
    head, base = found[TrainPlan()], found[TrainPlan(deepest)].sure
    gains = [found[TrainPlan(d)].sure - head.sure for d in depths]
    told = [Contribution(f"biases of the last {d} layers", g) for d, g in zip(depths, gains, strict=True) if d]
    weighed: list[Option] = []
    for option, known in _weighed(trials, options, deepest, base, epochs).items():
        told += [Contribution(f"{option.title}, {r:g} of its channels", g) for r, g in known.items()]
        weighed += [option.gaining(known)] if max(known.values()) > 0 else []
    space = Space(between(depths, gains), _biases(budget, deepest), _most(weighed, deepest))
    chosen = {space.plan(c): space.gained(c) for c in fitting(budget, space, bar)}
    scores = trials.finals(list(chosen), LONGER * epochs)
    finals = [Final(Candidate(p, budget.takes(p), g), scores[p]) for p, g in chosen.items()]
    finals.sort(key=lambda f: (-f.score.sure, f.compiled.arena))
    compiled = [Candidate(space.plan(c), arena, space.gained(c)) for c, arena in space.known.items()]
    compiled.sort(key=lambda c: (c.arena, -c.gain))
    return Outcome(head, tuple(finals), tuple(compiled), tuple(told))


def _deepest(budget: Budget, bar: Bar) -> int:
    """The most layers whose biases fit."""
    low, high = 0, len(resolve(TrainPlan(), budget.module.graph("infer"))) - 1
    with bar("compiling to see how deep biases fit", 1 + math.ceil(math.log2(high + 1))) as tell:
        if not budget.fits(TrainPlan()):
            what = f"{budget.board.name} has {budget.room} bytes beside the stack, "
            raise TteError("--sram", what + f"and to train the head alone takes {budget.takes(TrainPlan())}")
        tell(1, "")
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if budget.fits(TrainPlan(middle)) else (low, middle - 1)
            tell(1, f"{low} layers")
    return low


def _biases(budget: Budget, deepest: int) -> list[int]:
    """Bytes of states when biases alone are trained, by depth."""
    return [budget.states(TrainPlan(d)) for d in range(deepest + 1)]


def _options(budget: Budget, deepest: int) -> list[Option]:
    """The layers whose weights may be trained, those that widen first, and the ratios that may fit; no gains yet."""
    biases = _biases(budget, deepest)
    body = resolve(TrainPlan(deepest, deepest), budget.module.graph("infer"))[:-1]
    found: list[Option] = []
    for layer in sorted(body[len(body) - deepest :], key=lambda x: (not _widens(x), x.index)):
        counts = {max(1, round(r * layer.total)): r for r in reversed(RATIOS if _cuttable(layer) else RATIOS[-1:])}
        ratios = tuple(sorted(counts.values()))
        sizes = tuple(budget.states(TrainPlan(parts=(Part(layer.index, r),))) - biases[0] for r in ratios)
        x = layer.node.ins[0].type
        saved = tuple(round(r * layer.total) * x.bytes // x.shape[-1] for r in ratios)
        depth, none = len(body) - layer.index, (0.0,) * len(ratios)
        option = Option(layer.index, called(layer.node), depth, ratios, sizes, saved, none)
        alone = _taught(budget, Space([0.0] * len(biases), biases, [option]))
        fitting = sum(alone.able(budget.room, 0, level + 1) for level in range(len(ratios)))
        found += [option.upto(fitting)] if fitting else []
    return found


def _weighed(
    trials: Trials, options: Sequence[Option], depth: int, base: float, epochs: int
) -> dict[Option, dict[float, float]]:
    """What each gains over `base` at its largest ratio, and, if that is something, at a smaller one."""
    found: dict[Option, dict[float, float]] = {o: {} for o in options}

    def measure(plans: Mapping[Option, TrainPlan]) -> None:
        scores = trials.contest(list(plans.values()), epochs)
        for option, plan in plans.items():
            found[option][plan.parts[0].ratio] = scores[plan].sure - base

    measure({o: TrainPlan(depth, parts=(Part(o.layer, o.ratios[-1]),)) for o in options})
    best = sorted(options, key=lambda o: -max(found[o].values()))[:LAYERS]
    good = [o for o in best if SOME in o.ratios[:-1] and max(found[o].values()) > 0]
    measure({o: TrainPlan(depth, parts=(Part(o.layer, SOME),)) for o in good})
    return found


def _most(options: Sequence[Option], deepest: int) -> list[Option]:
    """Those that gain most, as many as there is time to look at all choices of."""
    kept = sorted(options, key=lambda o: -max(o.gains))
    while math.prod(len(o.ratios) + 1 for o in kept) * (deepest + 1) > CHOICES:
        kept.pop()
    return sorted(kept, key=lambda o: o.layer)


def fitting(budget: Memory, space: Space, bar: Bar, most: int = COMPILED) -> list[Choice]:
    """The best that fit, of `most` that are looked at: none if there are so many that nothing was found in time.

    By turns the best of those that are likely to fit, so that something is found soon, and the best of those that may.
    """
    _taught(budget, space)
    found: list[Choice] = []
    with bar("compiling the most promising plans", most) as tell:
        for turn in range(most):
            hoped = space.best(budget.room, found)
            if hoped is None or len([c for c in found if space.gained(c) >= space.gained(hoped)]) >= FINALS:
                break
            choice = (None if turn % 2 else space.best(budget.room, found, careful=True)) or hoped
            arena = budget.takes(space.plan(choice))
            space.learn(choice, arena)
            found += [choice] if arena <= budget.room else []
            tell(1, f"{arena} bytes")
    found += [c for c, arena in space.known.items() if arena <= budget.room and c not in found]
    return sorted(found, key=lambda c: (-space.gained(c), space.known[c]))[:FINALS]


def _taught(budget: Memory, space: Space) -> Space:
    """Told what biases alone take, as far as that was compiled."""
    for plan, arena in budget.known.items():
        if isinstance(plan.biases, int) and plan.biases < space.depths and not plan.parts:
            space.learn(Choice(plan.biases, (0,) * len(space.options)), arena)
    return space


def _widens(layer: Layer) -> bool:
    """True for what carries most: one pixel's channels to more of them."""
    w = layer.node.ins[1].type.shape
    return not layer.depthwise and w[0] > w[-1]


def _cuttable(layer: Layer) -> bool:
    """True if some channels can be trained without the others."""
    x, w = (v.type.shape for v in layer.node.ins[:2])
    return layer.depthwise or (isinstance(layer.node.op, Conv) and w[-1] == x[-1])
