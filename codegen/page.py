"""The report as a page: numbers, layers and pictures. Floor 4."""

from __future__ import annotations

from collections.abc import Sequence

from tte.codegen.jinja import environment
from tte.peak import describe, peak
from tte.pictures.gantt import gantt
from tte.pictures.picture import COLOURS, HATCHED, WIDTH, Picture
from tte.pictures.pruning import pruning
from tte.pictures.timeline import timeline
from tte.pictures.tradeoff import tradeoff
from tte.record import Measured, Point, Record, Timing
from tte.timetable import Run, Task

REPORT = "report.html"
ENV = environment(autoescape=True)


def page(record: Record, measured: Measured | None = None, points: Sequence[Point] = ()) -> str:
    """report.html; without `measured` it tells only what the compiler knows, without `points` of no other choices."""
    view: dict[str, object] = {"record": record, "measured": measured, "points": points, "width": WIDTH}
    view |= {"colours": COLOURS, "hatched": HATCHED, "describe": describe}
    view |= {"timelines": {f.name: timeline(record, f) for f in record.functions}}
    view |= {"peaks": {f.name: peak(record, f) for f in record.functions}}
    view |= {"gantt": _gantt(record.timing) if record.timing else None}
    view |= {"pruning": pruning(record.pruning) if record.pruning else None}
    view |= {"tradeoff": tradeoff(points) if points else None}
    return ENV.get_template("report.html.j2").render(view)


def _gantt(timing: Timing) -> Picture:
    """When the units work on a prompt, and when they wait."""
    tasks = tuple(Task(t.chunk, t.stage, t.unit, t.ticks, crossing=t.crossing) for t in timing.tasks)
    starts = zip(*(t.starts for t in timing.tasks), strict=True)
    return gantt({name: Run(tasks, own) for name, own in zip(timing.runs, starts, strict=True)}, timing.bound)
