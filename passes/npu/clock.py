"""A simulation of units that take the tasks that are ready by a rule; none idles while one of its own is. Floor 3."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from tte.timetable import Run, Tasks, behind

Key: TypeAlias = tuple[int, ...]
Rule: TypeAlias = Callable[["Clock", int], Key]  # of a unit's ready tasks, the one with the least key runs


@dataclass(slots=True)
class Clock:
    """What a rule may look at: the tasks, what waits for each, and how things stand now."""

    tasks: Tasks
    next: list[list[int]] = field(init=False)  # by task, those that wait for it
    behind: tuple[int, ...] = field(init=False)  # by task, ticks of the longest path behind it
    missing: list[int] = field(init=False)  # by task, how many of those that it waits for aren't done
    since: list[int] = field(init=False)  # by task, when it became ready

    def __post_init__(self) -> None:
        self.next = [[] for _ in self.tasks]
        for i, t in enumerate(self.tasks):
            for k in t.after:
                self.next[k].append(i)
        self.behind = behind(self.tasks)

    def run(self, rule: Rule) -> Run:
        """From the first task to the last."""
        tasks, now = self.tasks, 0
        self.missing = [len(t.after) for t in tasks]
        self.since = [0] * len(tasks)
        ready = {u: [i for i, t in enumerate(tasks) if t.unit == u and not t.after] for u in {t.unit for t in tasks}}
        idle, starts = set(ready), [0] * len(tasks)
        busy: list[tuple[int, int]] = []  # when a task will be done, and its place
        while True:
            for unit in sorted(u for u in idle if ready[u]):
                i = min(ready[unit], key=lambda i: (*rule(self, i), i))
                ready[unit].remove(i)
                idle.remove(unit)
                starts[i] = now
                heapq.heappush(busy, (now + tasks[i].cost, i))
            if not busy:
                return Run(tuple(tasks), tuple(starts))
            now = busy[0][0]
            while busy and busy[0][0] == now:
                _, i = heapq.heappop(busy)
                idle.add(tasks[i].unit)
                for k in self.next[i]:
                    self.missing[k] -= 1
                    if not self.missing[k]:
                        self.since[k] = now
                        ready[tasks[k].unit].append(k)
