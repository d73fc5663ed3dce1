"""Memory against instructions, a mark for each way to compile the model. Floor 3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tte.picture import SMALL, WIDTH, Box, Line, Picture, Shape, Text, free, rounded, ticks
from tte.record import Point

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 84.0, 40.0, 30.0, 50.0, 340.0
MARK = 9.0  # side of a mark


def cost(point: Point) -> float:
    """Counted where it was, else modelled."""
    return point.modelled if point.instructions is None else float(point.instructions)


def counted(points: Sequence[Point]) -> bool:
    """True if all points were counted, so that the counts can be compared."""
    return all(p.instructions is not None for p in points)


def tradeoff(points: Sequence[Point]) -> Picture:
    """The picture; `points` are not empty."""
    how = "counted" if counted(points) else "modelled"
    costs = [cost(p) if counted(points) else p.modelled for p in points]
    sizes = [float(p.arena_bytes) for p in points]
    across, up = Scale(costs, LEFT, WIDTH - RIGHT), Scale(sizes, HEIGHT - BOTTOM, TOP)
    marks = [(across.at(c), up.at(s)) for c, s in zip(costs, sizes, strict=True)]
    shapes: list[Shape] = [*axes(across, up, f"instructions, {how}", "arena, bytes")]
    for (x, y), p in zip(marks, points, strict=True):
        kind = "limit" if p.here else "point"
        shapes.append(Box(x - MARK / 2, y - MARK / 2, MARK, MARK, kind, f"{p.name}: {p.arena_bytes:,} B"))
    caption = f"Arena against {how} instructions: {len(points)} ways to compile the model; the project's is marked."
    return Picture(HEIGHT, caption, rounded([*shapes, *_labels(points, marks)]))


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


def _labels(points: Sequence[Point], marks: list[tuple[float, float]]) -> list[Text]:
    """What a choice is called, beside its mark where there is room; the choices of --memory first."""
    found = list[Text]()
    taken = [Box(x - MARK / 2, y - MARK / 2, MARK, MARK, "") for x, y in marks]
    order = sorted(range(len(points)), key=lambda i: (not points[i].memory, not points[i].here))
    for i in order:
        (x, y), p = marks[i], points[i]
        text = f"{p.name + ', ' if p.memory or p.here else ''}{p.arena_bytes:,} B"
        ways = [Text(x + 9, y - d, text, size=SMALL) for d in (11, -11, 24, -24)]
        ways += [Text(x - 9, y - d, text, size=SMALL, anchor="end") for d in (11, -11, 24, -24)]
        found += free([t for t in ways if t.box.x > LEFT and t.box.x + t.box.w < WIDTH], taken)
    return found
