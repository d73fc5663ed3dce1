"""The report as a page: numbers, layers and pictures. Floor 4."""

from __future__ import annotations

from collections.abc import Sequence

from tte.codegen.jinja import environment
from tte.peak import describe, peak
from tte.picture import COLOURS, HATCHED, WIDTH
from tte.record import Measured, Point, Record
from tte.timeline import timeline
from tte.tradeoff import tradeoff

REPORT = "report.html"
ENV = environment(autoescape=True)


def page(record: Record, measured: Measured | None = None, points: Sequence[Point] = ()) -> str:
    """report.html; without `measured` it tells only what the compiler knows, without `points` of no other choices."""
    view: dict[str, object] = {"record": record, "measured": measured, "points": points, "width": WIDTH}
    view |= {"colours": COLOURS, "hatched": HATCHED, "describe": describe}
    view |= {"timelines": {f.name: timeline(record, f) for f in record.functions}}
    view |= {"peaks": {f.name: peak(record, f) for f in record.functions}}
    view |= {"tradeoff": tradeoff(points) if points else None}
    return ENV.get_template("report.html.j2").render(view)
