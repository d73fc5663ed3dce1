"""A training as a picture: the loss of its steps and of its epochs, and the accuracy after each. Floor 2."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from tte.pictures.picture import SMALL, WIDTH, Line, Picture, Shape, Text, rounded
from tte.training.course import Course

LEFT, MIDDLE, RIGHT, TOP, BOTTOM, HEIGHT = 56.0, 84.0, 24.0, 34.0, 46.0, 320.0
DRAWN = 200  # points of the curve of all steps
STEPS, TRAIN, TEST = "activation", "limit", "point"  # colours
Points = Sequence[tuple[float, float]]


def curves(course: Course, model: str) -> Picture:
    """Loss on the left, accuracy on the right, over epochs."""
    half = (WIDTH - LEFT - MIDDLE - RIGHT) / 2
    last = max(1, course.epochs[-1].number)
    steps = _smoothed(course)
    means = [(e.number - 0.5, e.loss) for e in course.epochs if e.loss is not None]
    top = max([y for _, y in (*steps, *means)], default=1.0)
    loss = _Axes(LEFT, half, last, 0.0, top * 1.05 or 1.0, "loss")
    shapes = [*loss.ground(), *loss.curve(steps, STEPS), *loss.curve(means, TRAIN)]
    learned = [(e.number - 0.5, 100 * e.train) for e in course.epochs if e.train is not None]
    tested = [(e.number, 100 * e.test) for e in course.epochs if e.test is not None]
    low = min([y for _, y in (*learned, *tested)], default=0.0)
    share = _Axes(LEFT + half + MIDDLE, half, last, max(0.0, 10 * (low // 10) - 10), 100.0, "right answers, %")
    shapes += [*share.ground(), *share.curve(learned, TRAIN), *share.curve(tested, TEST)]
    shapes += loss.legend([("training, some steps' mean", "pale"), ("an epoch's mean", TRAIN)])
    shapes += share.legend([("training, before each step", TRAIN), *([("tests", TEST)] if tested else [])])
    return Picture(HEIGHT, _caption(course, model), rounded(shapes))


class _Axes:
    """A system of axes: epochs to the right, values upwards."""

    def __init__(self, left: float, width: float, last: int, low: float, high: float, title: str) -> None:
        self.left, self.width, self.last, self.low, self.high, self.title = left, width, last, low, high, title

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies."""
        up = (y - self.low) / (self.high - self.low)
        return self.left + x / self.last * self.width, HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def ground(self) -> Iterator[Shape]:
        """Grid and numbers."""
        yield Text(self.left, TOP - 16, self.title, "pale", SMALL)
        for y in _round_numbers(self.low, self.high, 6):
            yield Line(*self.at(0, y), *self.at(self.last, y), "grid")
            yield Text(self.left - 6, self.at(0, y)[1], f"{y:g}", "pale", SMALL, "end")
        for x in _round_numbers(0, self.last, 10):
            if x == int(x):
                yield Text(self.at(x, self.low)[0], HEIGHT - BOTTOM + 13, f"{x:g}", "pale", SMALL, "middle")
        yield Text(self.left + self.width, HEIGHT - BOTTOM + 32, "epochs", "pale", SMALL, "end")

    def curve(self, points: Points, kind: str) -> Iterator[Shape]:
        """Points, joined."""
        places = [self.at(*p) for p in points]
        return (Line(*a, *b, kind) for a, b in pairwise(places))

    def legend(self, named: Sequence[tuple[str, str]]) -> Iterator[Shape]:
        """What the colours mean, on the title's line."""
        right = self.left + self.width
        for name, kind in reversed(named):
            text = Text(right, TOP - 16, name, kind, SMALL, "end")
            right = text.box.x - SMALL
            yield text


def _smoothed(course: Course) -> list[tuple[float, float]]:
    """Means of neighbouring steps' losses, at most so many, each in the middle of its steps."""
    epochs, losses = course.epochs[-1].number, np.asarray(course.losses)
    if not losses.size:
        return []
    parts = np.array_split(losses, min(DRAWN, losses.size))
    ends = np.cumsum([len(p) for p in parts])
    middles = (ends - np.asarray([len(p) for p in parts]) / 2) * epochs / losses.size
    return [(float(x), float(p.mean())) for x, p in zip(middles, parts, strict=True)]


def _round_numbers(low: float, high: float, most: int) -> Iterator[float]:
    """At most so many round numbers from low to high."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(m for m in (1, 2, 5, 10, 20) if (high - low) / (step * m) <= most)
    first = math.ceil(low / step - 1e-9)
    return (round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1))


def _caption(course: Course, model: str) -> str:
    before, last = course.epochs[0], course.epochs[-1]
    told = f"Training {model}: {last.number} epochs, {len(course.losses):,} steps."
    if before.test is not None and last.test is not None:
        told += f" Of the tests, {before.test:.1%} were right before, {last.test:.1%} are after."
    return told
