"""Memory against instructions, a mark for each way to compile the model. Floor 3."""

from __future__ import annotations

from collections.abc import Sequence

from tte.pictures.axes import BOTTOM, HEIGHT, LEFT, MARK, RIGHT, TOP, Scale, axes
from tte.pictures.picture import SMALL, WIDTH, Box, Picture, Shape, Text, free, rounded
from tte.record import Point


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
