"""From the subgraphs of a decoder's layer to the tasks of a prompt in chunks. Floor 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def graph_bytes(stages: Sequence[Stage], chunks: int, shared: bool = True) -> int:
    """Bytes of the graphs of so many chunks (modelled): static ones once if they are shared, attention for each."""
    static = sum(
        s.bytes + c * s.bytes_growth for s in stages if not s.attention for c in range(1 if shared else chunks)
    )
    return static + sum(s.bytes + c * s.bytes_growth for s in stages if s.attention for c in range(chunks))
