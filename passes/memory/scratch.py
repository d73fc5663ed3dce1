"""Kernels by the scratch that memory has room for, as `select`'s `prefer`. Floor 5."""

from __future__ import annotations

from collections.abc import Callable

from tte.ir import Node
from tte.program import Candidate, MemoryPlan, Program
from tte.types import Value


def least_scratch(node: Node, candidates: tuple[Candidate, ...]) -> Candidate:
    """The cheapest of those that ask for the fewest bytes."""
    return min(candidates, key=lambda c: (c.scratch, c.cost))


def within(limit: int, program: Program, plan: MemoryPlan) -> Callable[[Node, tuple[Candidate, ...]], Candidate]:
    """The cheapest kernels whose scratch, beside what `plan` has alive at the call, fits `limit` bytes."""
    room: dict[Value, int] = {}
    for function in program.functions:
        for step, call in enumerate(function.calls):
            taken = sum(s.value.type.bytes for s in plan.alive(function, step) if s.value is not call.scratch)
            room[call.node.outs[0]] = limit - taken

    def prefer(node: Node, candidates: tuple[Candidate, ...]) -> Candidate:
        fitting = [c for c in candidates if c.scratch <= room[node.outs[0]]]
        return min(fitting, key=lambda c: c.cost) if fitting else least_scratch(node, candidates)

    return prefer
