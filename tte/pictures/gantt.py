"""Runs of tasks as a picture: a bar for each unit over time, coloured by chunk, and where it idles. Floor 2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tte.pictures.picture import SMALL, WIDTH, Box, Line, Picture, Shape, Text, rounded, ticks
from tte.timetable import Run
from tte.types import NPU

LEFT, RIGHT, TOP, BOTTOM, BAR, GAP = 56.0, 16.0, 40.0, 40.0, 34.0, 6.0
KINDS = ("input", "output", "ring", "state", "scratch", "activation")  # colours of chunks, in turn
IDLE = "peak"  # the colour of bubbles


def gantt(runs: Mapping[str, Run], bound: int, unit: str = "ticks") -> Picture:
    """Named runs of the same tasks, one below the other, a lower bound of their lengths, and what a tick is."""
    return _Layout(runs, bound, unit).picture()


class _Layout:
    """Where things are."""

    def __init__(self, runs: Mapping[str, Run], bound: int, unit: str) -> None:
        self.runs, self.bound, self.unit = runs, bound, unit
        self.last = max([1, bound, *(r.length for r in runs.values())])
        self.heights = {name: (BAR + GAP) * len(r.units) + 30 for name, r in runs.items()}
        self.low = TOP + sum(self.heights.values())

    def picture(self) -> Picture:
        """All of it."""
        shapes: list[Shape] = [*self.ground()]
        top = TOP
        for name, run in self.runs.items():
            shapes += self.rows(name, run, top)
            top += self.heights[name]
        return Picture(self.low + BOTTOM, self.caption(), rounded([*shapes, *self.limit(), *self.legend()]))

    def x(self, tick: float) -> float:
        """Where a time is."""
        return LEFT + tick / self.last * (WIDTH - LEFT - RIGHT)

    def ground(self) -> Iterator[Shape]:
        """The axis."""
        for at in ticks(0, self.last, 8):
            yield Line(self.x(at), TOP, self.x(at), self.low, "grid")
            yield Text(self.x(at), self.low + 12, f"{at:,.0f}", "pale", SMALL, "middle")
        yield Text(WIDTH - RIGHT, self.low + 28, self.unit, "pale", SMALL, "end")

    def rows(self, name: str, run: Run, top: float) -> Iterator[Shape]:
        """One run: its name and its units' bars."""
        yield Text(LEFT, top + 14, f"{name}: {run.length:,} {self.unit}, {_bubbles(run)}")
        for row, unit in enumerate(run.units):
            y = top + 28 + row * (BAR + GAP)
            own = [i for i, t in enumerate(run.tasks) if t.unit == unit]
            start, end = min(run.starts[i] for i in own), max(run.end(i) for i in own)
            yield Text(LEFT - 6, y + BAR / 2, unit, "pale", SMALL, "end")
            yield Box(self.x(start), y, self.x(end) - self.x(start), BAR, IDLE, f"{unit} idles here")
            for i in own:
                t, w = run.tasks[i], self.x(run.end(i)) - self.x(run.starts[i])
                title = f"chunk {t.chunk}, subgraph {t.position}: {run.starts[i]:,} to {run.end(i):,} {self.unit}"
                yield Box(self.x(run.starts[i]), y, w, BAR, KINDS[t.chunk % len(KINDS)], title)

    def limit(self) -> Iterator[Shape]:
        """The lower bound."""
        yield Line(self.x(self.bound), TOP, self.x(self.bound), self.low, "limit", dashed=True)
        text = f"lower bound {self.bound:,}"
        half = Text(0, 0, text).box.w / 2
        yield Text(min(self.x(self.bound), WIDTH - RIGHT - half), TOP - 8, text, "limit", anchor="middle")

    def legend(self) -> Iterator[Shape]:
        """The colours."""
        x = LEFT
        chunks = max((t.chunk + 1 for r in self.runs.values() for t in r.tasks), default=0)
        named = [(k, str(c)) for c, k in enumerate(KINDS[:chunks])] + [(IDLE, "idle")]
        yield Text(x, 15, "chunk", "pale", SMALL)
        x += 46
        for kind, text in named:
            yield Box(x, 8, 14, 14, kind)
            yield Text(x + 19, 15, text, size=SMALL)
            x += 19 + Text(0, 0, text, size=SMALL).box.w + 14

    def caption(self) -> str:
        """In words."""
        told = [f"{name} {run.length:,} ({_bubbles(run)})" for name, run in self.runs.items()]
        crossing = sum(t.crossing for run in list(self.runs.values())[:1] for t in run.tasks)
        moved = f" {crossing:,} B cross between the units." if crossing else ""
        return f"Modelled {self.unit}: {'; '.join(told)}; no order takes fewer than {self.bound:,}.{moved}"


def _bubbles(run: Run) -> str:
    """How much of the NPU's time is idle."""
    return f"{run.bubble(NPU):.1%} of the NPU's time idle"
