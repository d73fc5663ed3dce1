"""Axes of a picture with marks: numbers from left to right, and from bottom to top. Floor 2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tte.pictures.picture import SMALL, Line, Shape, Text, ticks

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 84.0, 40.0, 30.0, 50.0, 340.0
MARK = 9.0  # side of a mark


class Scale:
    """Numbers on an axis that shows their range and a little more."""

    def __init__(self, values: Sequence[float], start: float, stop: float) -> None:
        spread = max(max(values) - min(values), max(values) * 0.02, 1.0)
        self.low, self.high = max(0.0, min(values) - spread * 0.1), max(values) + spread * 0.1
        self.start, self.stop = start, stop

    def at(self, value: float) -> float:
        """Where it lies."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


def axes(across: Scale, up: Scale, to_the_right: str, upwards: str) -> Iterator[Shape]:
    """Grid, numbers and titles."""
    for at in ticks(up.low, up.high, 6):
        yield Line(across.start, up.at(at), across.stop, up.at(at), "grid")
        yield Text(across.start - 6, up.at(at), f"{at:,.0f}", "pale", SMALL, "end")
    for at in ticks(across.low, across.high, 7):
        yield Line(across.at(at), up.start, across.at(at), up.stop, "grid")
        yield Text(across.at(at), up.start + 12, f"{at:,.0f}", "pale", SMALL, "middle")
    yield Text(across.start - 6, up.stop - 16, upwards, "pale", SMALL)
    yield Text(across.stop, up.start + 34, to_the_right, "pale", SMALL, "end")
