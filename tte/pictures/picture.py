"""Pictures as shapes, which HTML and PNG draw alike: the arena over time, and memory against instructions. Floor 1."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

WIDTH = 1100.0  # of a picture, in its own units; as pixels, its text is of the usual size
SMALL, NORMAL = 10.5, 12.0  # sizes of text
ADVANCE = 0.6  # width of a letter, in sizes
GAP = 4.0  # between texts beside each other

# On paper and on a dark screen. Boxes keep their colour, dark letters are readable on all of them; of Okabe and Ito's
# set for colour-blind readers, some lighter.
COLOURS = {
    "input": ("#6cc0ee", "#6cc0ee"),
    "output": ("#f0b43c", "#f0b43c"),
    "activation": ("#c3cbd6", "#c3cbd6"),
    "ring": ("#4dbd98", "#4dbd98"),
    "scratch": ("#f2e77a", "#f2e77a"),
    "state": ("#dc9cc0", "#dc9cc0"),
    "edge": ("#ffffff", "#16181c"),  # of a box
    "letter": ("#111111", "#111111"),  # in a box
    "paper": ("#ffffff", "#16181c"),
    "ink": ("#22262b", "#e4e7eb"),
    "pale": ("#5c646e", "#a3abb5"),
    "grid": ("#e1e4e8", "#333840"),
    "peak": ("#ffe3dc", "#4a2a22"),
    "limit": ("#b3361b", "#ff9478"),
    "point": ("#1b62a5", "#7fbaf0"),
}
HATCHED = "shared"  # the kind of what several tensors have in turn


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle from its upper left corner; `title` is shown to who points at it."""

    x: float
    y: float
    w: float
    h: float
    kind: str
    title: str = ""

    def meets(self, other: Box) -> Box | None:
        """What they have in common."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        w = min(self.x + self.w, other.x + other.w) - x
        h = min(self.y + self.h, other.y + other.h) - y
        return Box(x, y, w, h, HATCHED) if min(w, h) > 0.01 else None

    def holds(self, other: Box) -> bool:
        """True if the other lies in it."""
        across = self.x <= other.x and other.x + other.w <= self.x + self.w
        return across and self.y <= other.y and other.y + other.h <= self.y + self.h


@dataclass(frozen=True, slots=True)
class Line:
    """From one point to another."""

    x: float
    y: float
    to_x: float
    to_y: float
    kind: str
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """One line; y is that of its middle, x of its `anchor`."""

    x: float
    y: float
    text: str
    kind: str = "ink"
    size: float = NORMAL
    anchor: Literal["start", "middle", "end"] = "start"
    upward: bool = False  # it reads from below, around its middle

    @property
    def box(self) -> Box:
        """What it covers, about."""
        w = len(self.text) * self.size * ADVANCE
        if self.upward:
            return Box(self.x - self.size * 0.6, self.y - w / 2, self.size * 1.2, w, self.kind)
        left = {"start": 0.0, "middle": w / 2, "end": w}[self.anchor]
        return Box(self.x - left, self.y - self.size * 0.6, w, self.size * 1.2, self.kind)


Shape: TypeAlias = Box | Line | Text


@dataclass(frozen=True, slots=True)
class Picture:
    """Shapes, the later over the earlier, and what they show, in words."""

    height: float
    caption: str
    shapes: tuple[Shape, ...]


def rounded(shapes: Iterable[Shape]) -> tuple[Shape, ...]:
    """To hundredths, which is finer than a pixel."""
    places = ("x", "y", "w", "h", "to_x", "to_y")
    return tuple(replace(s, **{n: round(getattr(s, n), 2) for n in places if hasattr(s, n)}) for s in shapes)


def ticks(low: float, high: float, most: int) -> Iterator[float]:
    """At most so many round numbers from low to high, and one."""
    step = 1.0
    while (high - low) / step > most:
        step *= 2.5 if str(int(step))[0] == "2" else 2
    at = math.ceil(low / step) * step
    while at <= high:
        yield at
        at += step


def free(texts: Iterable[Text], taken: list[Box]) -> list[Text]:
    """The first of the texts that keeps clear of what is taken, if there is one; it is taken then."""
    for text in texts:
        covered = text.box
        if not any(covered.meets(b) for b in taken):
            taken.append(replace(covered, x=covered.x - GAP, w=covered.w + 2 * GAP))
            return [text]
    return []
