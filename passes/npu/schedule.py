"""The order of a prompt's tasks on each unit: several rules are simulated, and the best table is kept. Floor 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tte.passes.npu.bound import bound
from tte.passes.npu.clock import Clock, Key, Rule
from tte.passes.npu.stages import Stage, tasks_of
from tte.timetable import Run, Tasks, follow
from tte.types import NPU

HALVES = (1, 2, 3, 4, 5, 6, 8, 12)  # subgraphs by which a wave's chunk follows the one before it, twice as many


@dataclass(frozen=True, slots=True)
class Schedule:
    """The shortest run that was found, the rule that it is by, ticks of each rule's run, and a lower bound of them."""

    run: Run
    rule: str
    lengths: dict[str, int]
    bound: int


def schedule(tasks: Tasks) -> Schedule:
    """The shortest run of the rules; in order, if none is shorter."""
    clock, least = Clock(tasks), bound(tasks)
    runs = {"in order": in_order(tasks)} | {name: clock.run(rule) for name, rule in RULES.items()}
    for halves in HALVES:
        runs[f"wave {halves / 2:g}"] = clock.run(wave(halves))
        runs[f"strict wave {halves / 2:g}"] = _sorted(tasks, _strict(tasks, halves))
    best = min(runs, key=lambda name: runs[name].length)
    return Schedule(runs[best], best, {name: r.length for name, r in runs.items()}, least)


def schedules(stages: Sequence[Stage], most: int) -> tuple[Schedule, ...]:
    """Those of prompts of 1, 2, ... `most` chunks."""
    return tuple(schedule(tasks_of(stages, chunks)) for chunks in range(1, most + 1))


def in_order(tasks: Tasks) -> Run:
    """On each unit one chunk after the other."""
    return _sorted(tasks, [(t.chunk, t.position) for t in tasks])


def _sorted(tasks: Tasks, keys: Sequence[Key]) -> Run:
    """On each unit the tasks in the order of their keys, even if that means to wait for one while others are ready."""
    places = sorted(range(len(tasks)), key=lambda i: keys[i])
    return follow(tasks, {u: tuple(i for i in places if tasks[i].unit == u) for u in sorted({t.unit for t in tasks})})


def fifo(clock: Clock, i: int) -> Key:
    """What has been ready for longest."""
    return clock.since[i], clock.tasks[i].chunk, clock.tasks[i].position


def freeing(clock: Clock, i: int) -> Key:
    """mllm-NPU's heuristic: on the CPU what makes most ticks of others ready, on the NPU what makes fewest."""
    freed = sum(clock.tasks[k].cost for k in clock.next[i] if clock.missing[k] == 1)
    return freed if clock.tasks[i].unit == NPU else -freed, clock.tasks[i].chunk, clock.tasks[i].position


def breadth(clock: Clock, i: int) -> Key:
    """The first subgraph of all chunks, then the second."""
    return clock.tasks[i].position, clock.tasks[i].chunk


def critical_path(clock: Clock, i: int) -> Key:
    """What has most ticks behind it."""
    return -clock.behind[i] - clock.tasks[i].cost, clock.tasks[i].chunk, clock.tasks[i].position


def wave(halves: int) -> Rule:
    """Chunks follow each other at a distance of half as many subgraphs.

    So one chunk's work for the CPU meets another's for the NPU, layer after layer.
    """
    return lambda clock, i: (2 * clock.tasks[i].position + halves * clock.tasks[i].chunk, clock.tasks[i].chunk)


def _strict(tasks: Tasks, halves: int) -> list[Key]:
    """The keys of a wave; a chunk that must wait for another's end is late by so much from there on."""
    found: list[Key] = []
    for t in tasks:
        late = (found[k][0] + (2 if tasks[k].chunk == t.chunk else 0) for k in t.after)
        found.append((max([2 * t.position + halves * t.chunk, *late]), t.chunk))
    return found


RULES: dict[str, Rule] = {"fifo": fifo, "freeing": freeing, "breadth": breadth, "critical path": critical_path}
