"""What is worth telling of a compilation, taken from its program and plan. Floor 4."""

from __future__ import annotations

from tte.program import Call, MemoryPlan, Program, Slot
from tte.record import Choice, Layer, Place, Record, Work
from tte.target import Board


def record(program: Program, plan: MemoryPlan, board: Board, weights_bytes: int) -> Record:
    """Everything worth telling of a compilation."""
    functions = tuple(
        Work(f.name, tuple(map(_layer, f.calls)), tuple(map(_place, plan.functions[f.name])), tuple(f.steps))
        for f in program.functions
    )
    states = tuple(map(_place, plan.states))
    return Record(program.name, board.name, plan.arena, plan.bound, weights_bytes, states, functions)


def _layer(call: Call) -> Layer:
    choices = tuple(Choice(c.kernel.symbol, c.cost, c.refused) for c in call.candidates)
    node = call.node
    return Layer(
        name=node.source or node.outs[0].source or node.outs[0].name,
        op=node.op.label(),
        kernel=call.kernel.symbol,
        macs=node.op.macs(*node.types),
        modelled=min(c.cost for c in call.candidates if c.kernel is call.kernel),
        constant_bytes=sum(a.nbytes for a in call.consts.values()),
        node=str(node),
        choices=choices,
    )


def _place(slot: Slot) -> Place:
    v = slot.value
    return Place(v.name, str(v.type), slot.offset, slot.bytes, slot.first, slot.last)
