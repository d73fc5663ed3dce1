"""All plans that a search chooses from: what each would gain, and how many bytes it takes at least. Floor 2."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tte.training.plan import Part, TrainPlan
from tte.types import Array

NOTHING = 1 / 32  # a ratio that is taken to bring nothing


@dataclass(frozen=True, slots=True)
class Choice:
    """Biases of the last `depth` layers, and of each layer that may be trained how much: its ratio's number, or 0."""

    depth: int
    levels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Option:
    """A layer whose weights may be trained, if biases are from the last `depth` layers on.

    By rising ratios of its channels: the bytes of its states, those of the input that a step keeps for their gradient,
    and what they gain.
    """

    layer: int
    title: str
    depth: int
    ratios: tuple[float, ...]
    bytes: tuple[int, ...]
    saved: tuple[int, ...]
    gains: tuple[float, ...]

    def upto(self, n: int) -> Option:
        """With the first ratios only."""
        return replace(self, ratios=self.ratios[:n], bytes=self.bytes[:n], saved=self.saved[:n], gains=self.gains[:n])

    def gaining(self, known: Mapping[float, float]) -> Option:
        """With gains from some ratios', on straight lines over the ratios' logarithms; NOTHING gains nothing."""
        at = sorted({NOTHING: 0.0, **known}.items())
        gains = np.interp(np.log(self.ratios), np.log([r for r, _ in at]), [g for _, g in at])
        return replace(self, gains=tuple(gains.tolist()))


class Space:
    """Every choice, the one that gains most first; of equals that with fewer bytes of states.

    `gains` and `bytes` are by depth, from 0 on; gains add up. The arena holds the states, which all live throughout,
    and beside them what the steps of a call need. A plan that trains more has all the steps of one that trains less:
    so what `learn` is told of a choice bounds what all that contain it need beside their states, which gives `least`;
    with all that they save added to the peak it gives `likely`.
    """

    def __init__(self, gains: Sequence[float], bytes: Sequence[int], options: Sequence[Option]) -> None:
        self.options, self.depths = tuple(options), len(gains)
        per = [_levels(d, options) for d in range(len(gains))]
        depth = np.repeat(np.arange(len(gains)), [len(p) for p in per])
        levels = np.concatenate(per)
        gain, states = np.asarray(gains, np.float64)[depth], np.asarray(bytes, np.int64)[depth]
        saved = np.zeros(len(depth), np.int64)
        for i, o in enumerate(options):
            gain = gain + np.array([0.0, *o.gains])[levels[:, i]]
            states = states + np.array([0, *o.bytes])[levels[:, i]]
            saved = saved + np.array([0, *o.saved])[levels[:, i]]
        order = np.lexsort((states, -gain))
        self.depth, self.levels, self.gain, self.states = depth[order], levels[order], gain[order], states[order]
        self.full = self.states + saved[order]
        self.least, self.likely = self.states.copy(), self.full.copy()
        self.known: dict[Choice, int] = {}

    def learn(self, choice: Choice, arena: int) -> None:
        """A choice takes so many bytes."""
        more = (self.depth >= choice.depth) & (self.levels >= np.array(choice.levels, np.int8)).all(1)
        at = self._place(choice)
        for found, own in ((self.least, self.states), (self.likely, self.full)):
            found[more] = np.maximum(found[more], own[more] - own[at] + arena)
        self.known[choice] = arena

    def best(self, room: int, beside: Collection[Choice] = (), careful: bool = False) -> Choice | None:
        """The first that may fit into `room`, or is likely to, and trains something that none of the others does."""
        able = (self.likely if careful else self.least) <= room
        for c in beside:
            able &= (self.depth > c.depth) | (self.levels > np.array(c.levels, np.int8)).any(1)
        found = int(able.argmax())
        return Choice(int(self.depth[found]), tuple(self.levels[found].tolist())) if able[found] else None

    def able(self, room: int, option: int, level: int) -> bool:
        """True if a layer may be trained at that ratio in some choice that may fit."""
        return bool(((self.least <= room) & (self.levels[:, option] == level)).any())

    def gained(self, choice: Choice) -> float:
        """The sum of what a choice gains."""
        return float(self.gain[self._place(choice)])

    def plan(self, choice: Choice) -> TrainPlan:
        """The choice as a plan."""
        chosen = zip(self.options, choice.levels, strict=True)
        parts = tuple(Part(o.layer, o.ratios[level - 1]) for o, level in chosen if level)
        return TrainPlan(choice.depth, parts=parts)

    def _place(self, choice: Choice) -> int:
        same = (self.depth == choice.depth) & (self.levels == np.array(choice.levels, np.int8)).all(1)
        return int(same.argmax())


def _levels(depth: int, options: Sequence[Option]) -> Array:
    """All levels of the layers that biases of that depth reach, s8[n,options]."""
    counts = tuple(len(o.ratios) + 1 if o.depth <= depth else 1 for o in options)
    return np.indices(counts, np.int8).reshape(len(options), -1).T if options else np.zeros((1, 0), np.int8)


def between(depths: Sequence[int], values: Sequence[float]) -> list[float]:
    """Values at all depths from 0 to the last, on straight lines between those that are known."""
    found: list[float] = np.interp(np.arange(depths[-1] + 1), depths, values).tolist()
    return found
