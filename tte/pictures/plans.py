"""What training more brings against the memory that it takes, a mark for each plan. Floor 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tte.pictures.axes import BOTTOM, HEIGHT, LEFT, MARK, RIGHT, TOP, Scale, axes
from tte.pictures.picture import SMALL, WIDTH, Box, Line, Picture, Shape, Text, free, rounded


@dataclass(frozen=True, slots=True)
class Spot:
    """A plan: its arena in bytes, what it promises in percent, and what it is called."""

    arena: int
    promise: float
    name: str
    chosen: bool


def useful(spots: Sequence[Spot]) -> list[Spot]:
    """From the smallest arena up, those that promise more than all smaller ones."""
    found: list[Spot] = []
    for spot in sorted(spots, key=lambda s: (s.arena, -s.promise)):
        if not found or spot.promise > found[-1].promise:
            found.append(spot)
    return found


def plan_picture(spots: Sequence[Spot], room: int, model: str) -> Picture:
    """The picture; `spots` are not empty, and `room` bytes are what the arena may take."""
    across = Scale([float(s.arena) for s in spots], LEFT, WIDTH - RIGHT)
    up = Scale([s.promise for s in spots], HEIGHT - BOTTOM, TOP)
    shapes: list[Shape] = [*axes(across, up, "arena, bytes", "mean probability of the right class, %")]
    best = [(across.at(s.arena), up.at(s.promise)) for s in useful(spots)]
    shapes += [Line(*a, *b, "point") for a, b in pairwise(best)]
    if room <= across.high:
        shapes.append(Line(across.at(room), TOP, across.at(room), HEIGHT - BOTTOM, "limit", dashed=True))
    marks = [Box(across.at(s.arena) - MARK / 2, up.at(s.promise) - MARK / 2, MARK, MARK, "") for s in spots]
    kinds = ["limit" if s.chosen else "point" if s.arena <= room else "activation" for s in spots]
    for spot, m, kind in zip(spots, marks, kinds, strict=True):
        shapes.append(Box(m.x, m.y, m.w, m.h, kind, f"{spot.name}: {spot.arena:,} B, {spot.promise:.1f}%"))
    taken = list(marks)
    for spot, m in sorted(zip(spots, marks, strict=True), key=lambda pair: not pair[0].chosen):
        texts = [Text(m.x + 13, y, spot.name, "pale", SMALL) for y in (m.y - 9, m.y + 17)]
        texts += [Text(m.x - 5, y, spot.name, "pale", SMALL, "end") for y in (m.y - 9, m.y + 17)]
        shapes += free([t for t in texts if t.box.x > LEFT and t.box.x + t.box.w < WIDTH], taken)
    caption = f"Training {model}: {len(spots)} plans that were compiled, by the sum of what their parts were measured "
    caption += "to bring in a short training; the plan that was chosen is marked."
    return Picture(HEIGHT, caption, rounded(shapes))
