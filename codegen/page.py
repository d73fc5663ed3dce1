"""The report as a page: numbers, layers and a map of the arena. Floor 4."""

from __future__ import annotations

from tte.codegen.jinja import environment
from tte.record import Measured, Record, Work

REPORT = "report.html"
ENV = environment(autoescape=True)
WIDTH, HEIGHT = 900, 420  # of the map, in its own units


def page(record: Record, measured: Measured | None = None) -> str:
    """report.html; without `measured` it tells only what the compiler knows."""
    maps = {f.name: _boxes(f, record.arena_bytes) for f in record.functions}
    view = {"record": record, "measured": measured, "maps": maps, "width": WIDTH, "height": HEIGHT}
    return ENV.get_template("report.html.j2").render(view)


def _boxes(work: Work, arena: int) -> list[dict[str, object]]:
    """A rectangle per tensor: calls from left to right, addresses from bottom to top."""
    columns = len(work.layers) + 2  # the inputs before, the outputs after
    found = []
    for p in work.places:
        left, right = (p.first + 1) / columns, (min(p.last, columns - 2) + 2) / columns
        low, high = p.offset / max(arena, 1), (p.offset + p.bytes) / max(arena, 1)
        box = {"x": left * WIDTH, "w": (right - left) * WIDTH, "y": (1 - high) * HEIGHT, "h": (high - low) * HEIGHT}
        shown: dict[str, object] = {k: f"{v:.2f}" for k, v in box.items()}
        found.append(shown | {"place": p})
    return found
