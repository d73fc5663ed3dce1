"""A lower bound of the ticks that tasks take on their units. Floor 3."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from tte.timetable import Tasks, before, behind


def bound(tasks: Tasks) -> int:
    """Ticks that every run of the tasks needs: at least the longest path, and at least any unit's total.

    On each unit a task starts after the longest path before it, and the longest path behind it follows its end. If the
    unit could interrupt its tasks, it were best always to work on the one with the longest path behind it (Jackson's
    rule); no run is shorter.
    """
    heads, tails = before(tasks), behind(tasks)
    units = sorted({t.unit for t in tasks})
    own = ([(heads[i], -tails[i], t.cost) for i, t in enumerate(tasks) if t.unit == unit] for unit in units)
    return max(map(_interrupted, own), default=0)


def _interrupted(jobs: Iterable[tuple[int, int, int]]) -> int:
    """Ticks of Jackson's rule for jobs of (ticks before, minus the ticks behind, cost)."""
    coming = sorted(jobs, reverse=True)
    now = length = 0
    ready: list[tuple[int, int]] = []  # minus the ticks behind, ticks left
    while coming or ready:
        if not ready:
            now = max(now, coming[-1][0])
        while coming and coming[-1][0] <= now:
            heapq.heappush(ready, coming.pop()[1:])
        tail, left = heapq.heappop(ready)
        work = min(left, coming[-1][0] - now) if coming else left
        now += work
        if work < left:
            heapq.heappush(ready, (tail, left - work))
        else:
            length = max(length, now - tail)
    return length
