"""Which task runs when: the tasks of a prompt on several units, orders of them as tables, and the clock. Floor 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tte.errors import InternalError


@dataclass(frozen=True, slots=True)
class Task:
    """One subgraph for one chunk of a prompt; `after` are the places of those it waits for, all before its own."""

    chunk: int
    position: int  # of the subgraph, from the first of the first layer
    unit: str
    cost: int  # in ticks, a time that is the same on all units
    after: tuple[int, ...] = ()
    crossing: int = 0  # bytes of its result that another unit reads


Tasks: TypeAlias = Sequence[Task]
Table: TypeAlias = Mapping[str, tuple[int, ...]]  # by unit, the places of its tasks in the order in which it runs them


@dataclass(frozen=True, slots=True)
class Run:
    """Tasks and when each starts, in ticks from the first."""

    tasks: tuple[Task, ...]
    starts: tuple[int, ...]

    def end(self, i: int) -> int:
        """When a task is done."""
        return self.starts[i] + self.tasks[i].cost

    @property
    def units(self) -> tuple[str, ...]:
        """Those that have tasks."""
        return tuple(sorted({t.unit for t in self.tasks}))

    @property
    def length(self) -> int:
        """Ticks until all are done."""
        return max((self.end(i) for i in range(len(self.tasks))), default=0)

    @property
    def table(self) -> Table:
        """The order of each unit's tasks; one that takes no time comes before others of its start that wait for it."""
        places = sorted(range(len(self.tasks)), key=lambda i: (self.starts[i], self.end(i), i))
        return {u: tuple(i for i in places if self.tasks[i].unit == u) for u in self.units}

    def bubble(self, unit: str) -> float:
        """The share of time that a unit idles between its first task and the end of its last; 0 without tasks."""
        own = [i for i, t in enumerate(self.tasks) if t.unit == unit]
        span = max((self.end(i) for i in own), default=0) - min((self.starts[i] for i in own), default=0)
        return 1 - sum(self.tasks[i].cost for i in own) / span if span else 0.0


def follow(tasks: Tasks, table: Table) -> Run:
    """Run a table: each unit its tasks in order, each task as soon as the unit and all that it waits for are done.

    Raises InternalError for a table that lacks a task, has one twice or on the wrong unit, or comes to a deadlock.
    """
    if sorted((u, i) for u, order in table.items() for i in order) != sorted((t.unit, i) for i, t in enumerate(tasks)):
        raise InternalError("timetable", "the table doesn't hold each task once, on its own unit")
    starts: dict[int, int] = {}
    free, done = dict.fromkeys(table, 0), dict.fromkeys(table, 0)
    moved = True
    while moved:
        moved = False
        for unit, order in table.items():
            while done[unit] < len(order) and all(k in starts for k in tasks[order[done[unit]]].after):
                i = order[done[unit]]
                starts[i] = max([free[unit], *(starts[k] + tasks[k].cost for k in tasks[i].after)])
                free[unit] = starts[i] + tasks[i].cost
                done[unit] += 1
                moved = True
    if len(starts) < len(tasks):
        waiting = ", ".join(f"{u} at task {o[done[u]]}" for u, o in table.items() if done[u] < len(o))
        raise InternalError("timetable", f"the table comes to a deadlock: {waiting}")
    return Run(tuple(tasks), tuple(starts[i] for i in range(len(tasks))))


def before(tasks: Tasks) -> tuple[int, ...]:
    """By task, ticks of the longest path to its start."""
    found: list[int] = []
    for t in tasks:
        found.append(max((found[k] + tasks[k].cost for k in t.after), default=0))
    return tuple(found)


def behind(tasks: Tasks) -> tuple[int, ...]:
    """By task, ticks of the longest path from its end."""
    found = [0] * len(tasks)
    for i in reversed(range(len(tasks))):
        for k in tasks[i].after:
            found[k] = max(found[k], found[i] + tasks[i].cost)
    return tuple(found)
