"""What is worth telling of a compilation, taken from its program and plan. Floor 4."""

from __future__ import annotations

from collections.abc import Iterable

from tte.program import Call, Function, MemoryPlan, Program, Slot
from tte.record import Choice, Kind, Layer, Place, Record, Work
from tte.target import Board
from tte.types import Value


def record(program: Program, plan: MemoryPlan, board: Board, weights_bytes: int) -> Record:
    """Everything worth telling of a compilation."""
    functions = tuple(_work(f, plan) for f in program.functions)
    return Record(
        program.name,
        board.name,
        plan.arena,
        plan.bound,
        weights_bytes,
        tuple(_place(s, "state") for s in plan.states),
        functions,
        any_order=all(f.bound for f in program.functions),
        io=tuple(sorted({kind for f in program.functions for kind in _io(f)})),
        sram=board.sram,
        windows=plan.windows.count if plan.windows else 0,
        window_bytes=plan.windows.bytes if plan.windows else 0,
    )


def _io(f: Function) -> list[str]:
    """How its inputs come and its outputs go; see Record."""
    return ["caller"] * f.caller + ["rows"] * (f.arrival is not None)


def _work(f: Function, plan: MemoryPlan) -> Work:
    groups: tuple[tuple[Kind, Iterable[Value]], ...] = (
        ("output", f.outs),
        ("input", f.ins),
        ("state", (new for _, new in f.updates)),
        ("scratch", (c.scratch for c in f.calls if c.scratch)),
    )
    kinds: dict[Value, Kind] = {v: kind for kind, values in groups for v in values}
    places = tuple(_place(s, "ring" if s.rows else kinds.get(s.value, "activation")) for s in plan.functions[f.name])
    cascades = tuple((calls[0], calls[-1]) for calls, cascade in f.blocks if cascade)
    return Work(f.name, tuple(map(_layer, f.calls)), places, tuple(f.steps), cascades)


def _layer(call: Call) -> Layer:
    choices = tuple(Choice(c.kernel.symbol, c.cost, c.refused) for c in call.candidates)
    node = call.node
    return Layer(
        name=node.source or node.outs[0].source or node.outs[0].name,
        op=node.op.label(),
        kernel=call.kernel.symbol,
        macs=sum(p.node.op.macs(*p.node.types) for p in call.parts),
        modelled=min(c.cost for c in call.candidates if c.kernel is call.kernel),
        constant_bytes=sum(a.nbytes for p in call.parts for a in p.consts.values()),
        node=str(node),
        choices=choices,
        unit=call.unit,
    )


def _place(slot: Slot, kind: Kind) -> Place:
    v = slot.value
    return Place(v.name, str(v.type), slot.offset, slot.bytes, slot.first, slot.last, kind, slot.rows)
