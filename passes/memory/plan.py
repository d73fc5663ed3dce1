"""Give every tensor a place in one arena. Floor 5."""

from __future__ import annotations

from collections.abc import Iterator

from tte.program import Function, MemoryPlan, Program, Slot
from tte.target import Board
from tte.types import Value

ALIGN = 8


def plan_memory(program: Program, board: Board) -> MemoryPlan:
    """Functions share the arena as they never run together."""
    functions = {f.name: tuple(_place(f)) for f in program.functions}
    arena = max((s.end for slots in functions.values() for s in slots), default=0)
    return MemoryPlan(arena, arena, (), functions)


def _place(function: Function) -> Iterator[Slot]:
    """Largest first, each at the lowest offset where it meets nobody."""
    lives: dict[Value, tuple[int, int]] = {v: (-1, -1) for v in function.ins}
    for step, call in enumerate(function.calls):
        for v in (*call.ins, *call.outs, *([call.scratch] if call.scratch else [])):
            lives[v] = lives.get(v, (step, step))[0], step
    for v in function.outs:
        lives[v] = lives[v][0], len(function.calls)
    placed: list[Slot] = []
    for value, (first, last) in sorted(lives.items(), key=lambda e: -e[0].type.bytes):
        offset = 0
        for other in sorted((s for s in placed if s.first <= last and first <= s.last), key=lambda s: s.offset):
            if offset + value.type.bytes <= other.offset:
                break
            offset = max(offset, -(-other.end // ALIGN) * ALIGN)
        placed.append(Slot(value, offset, first, last))
        yield placed[-1]
