"""From the subgraphs of a decoder's layer to the tasks of a prompt in chunks. Floor 3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tte.timetable import Task


@dataclass(frozen=True, slots=True)
class Stage:
    """A subgraph, as each chunk of a prompt runs it.

    A static one depends on nothing but the chunk's length: its graph is built once and shared by all chunks. Attention
    needs all earlier chunks' results too, and each chunk has a graph of its own.
    """

    name: str
    unit: str
    cost: int  # ticks for the first chunk
    attention: bool = False
    growth: int = 0  # ticks more for each chunk before it
    needs: tuple[int, ...] = (1,)  # how many places before it those stand whose results it reads
    crossing: int = 0  # bytes of its result that another unit reads
    bytes: int = 0  # of its graph in the first chunk, its weights included
    bytes_growth: int = 0  # more for each chunk before it


def tasks_of(stages: Sequence[Stage], chunks: int) -> tuple[Task, ...]:
    """All tasks, chunk by chunk; `stages` are those of all layers."""
    found = []
    for chunk in range(chunks):
        for position, stage in enumerate(stages):
            earliest = 0 if stage.attention else chunk
            read = [position - back for back in stage.needs if back <= position]
            after = tuple(c * len(stages) + p for c in range(earliest, chunk + 1) for p in read)
            cost = stage.cost + chunk * stage.growth
            found.append(Task(chunk, position, stage.unit, cost, after, stage.crossing))
    return tuple(found)


def joined(stages: Sequence[Stage], chunks: int) -> tuple[Task, ...]:
    """All tasks as a program has them (passes/npu/prompts.py), whose stages are runs of calls of one unit.

    One with attention also writes the caches that the next chunk's reads, and waits for that of the chunk before.
    Chunks that another one follows end with their last attention: nobody reads their logits.
    """
    runs = [tuple(run) for _, run in groupby(stages, key=lambda s: s.unit)]
    reads = [any(s.attention for s in run) for run in runs]
    early, found = max((p + 1 for p, r in enumerate(reads) if r), default=len(runs)), list[Task]()
    for chunk in range(chunks):
        for position, run in enumerate(runs if chunk + 1 == chunks else runs[:early]):
            after = [chunk * early + position - 1] if position else []
            after += [(chunk - 1) * early + position] if chunk and reads[position] else []
            cost = sum(s.cost + chunk * s.growth for s in run)
            found.append(Task(chunk, position, run[0].unit, cost, tuple(after), sum(s.crossing for s in run)))
    return tuple(found)


def split_attention(stages: Sequence[Stage], parts: int) -> tuple[Stage, ...]:
    """Attention in so many parts, each of its share of the heads.

    They depend on each other no more than heads do; between them the CPU can serve other chunks, which would otherwise
    leave the NPU idle while they wait.
    """
    found: list[Stage] = []
    places: list[range] = []  # by position in `stages`, those in `found`
    for position, stage in enumerate(stages):
        pieces = parts if stage.attention else 1
        places.append(range(len(found), len(found) + pieces))
        read = [p for back in stage.needs if back <= position for p in places[position - back]]
        for part, place in enumerate(places[-1]):
            found.append(
                replace(
                    stage,
                    cost=_share(stage.cost, part, pieces),
                    growth=_share(stage.growth, part, pieces),
                    crossing=_share(stage.crossing, part, pieces),
                    bytes=_share(stage.bytes, part, pieces),
                    bytes_growth=_share(stage.bytes_growth, part, pieces),
                    needs=tuple(place - p for p in read),
                )
            )
    return tuple(found)


def _share(whole: int, part: int, parts: int) -> int:
    """Of a number that is divided as evenly as can be."""
    return whole * (part + 1) // parts - whole * part // parts


def graph_bytes(stages: Sequence[Stage], chunks: int, shared: bool = True) -> int:
    """Bytes of the graphs of so many chunks (modelled): static ones once if they are shared, attention for each."""
    static = sum(
        s.bytes + c * s.bytes_growth for s in stages if not s.attention for c in range(1 if shared else chunks)
    )
    return static + sum(s.bytes + c * s.bytes_growth for s in stages if s.attention for c in range(chunks))
