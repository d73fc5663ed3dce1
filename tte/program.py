"""Lowered programs, memory plans, and a checker that shares nothing with the planner. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tte.errors import InternalError
from tte.ir import Node, State
from tte.op import Consts, Kernel, Scalars, Values
from tte.types import Value

ALIGN = 8  # of every tensor, so that a kernel may read it by words on any board; costs at most 7 bytes a tensor


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kernel that was looked at for a node, its modelled instructions, and why it was refused ("" if it was not)."""

    kernel: Kernel
    cost: float
    refused: str = ""
    scratch: int = 0  # bytes


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A node bound to the kernel that computes it.

    `ins` and `outs` are where its operands lie: a view is replaced by the value whose bytes it shows, and constants
    are left out; `at` are the positions of `ins` among the node's inputs. `consts` are the arrays in flash that the
    kernel is given, by name of the operand or parameter.
    """

    node: Node
    kernel: Kernel
    params: Scalars
    ins: Values
    at: tuple[int, ...]
    outs: Values
    consts: Consts
    scratch: Value | None
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Cascade:
    """Neighbouring calls, first <= i < stop, that run row by row.

    `order` names, by their place in the cascade, the calls whose next row is made, one after the other. `rings` are
    values of which only the last rows are kept, and how many; row r lies at r modulo that.
    """

    first: int
    stop: int
    order: tuple[int, ...]
    rings: dict[Value, int]


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """What a graph became. `ins` and `outs` are storage values, as in Call; with `caller` the caller's buffers.

    `cascades` are ranges of `calls`, in order and apart. `bound` is a number of bytes below which no places can go;
    without cascades no order of the calls can either (`order` proves it).
    """

    name: str
    ins: Values
    outs: Values
    calls: tuple[Call, ...]
    updates: tuple[tuple[Value, Value], ...]
    caller: bool = False
    bound: int = 0
    cascades: tuple[Cascade, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Functions over shared states, for one board."""

    name: str
    states: tuple[State, ...]
    functions: tuple[Function, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where in the arena a value lies, and at which calls (both included) it is alive; inputs live from call -1."""

    value: Value
    offset: int
    first: int
    last: int

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.value.type.bytes


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The arena in bytes, the states that live in it, and the slots of each function.

    `bound` is proven: no order of the calls and no places need fewer bytes, for these kernels and ALIGN.
    """

    arena: int
    bound: int
    states: tuple[Slot, ...]
    functions: dict[str, tuple[Slot, ...]]

    def alive(self, function: Function, step: int) -> tuple[Slot, ...]:
        """What lives at a call; of a result and the input that it overwrites, the result."""
        slots = (*self.states, *self.functions[function.name])
        living = sorted((s for s in slots if s.first <= step <= s.last), key=lambda s: s.first)
        return tuple({s.offset: s for s in living}.values())


def check_plan(program: Program, plan: MemoryPlan) -> None:
    """Replay the program over a memory whose every byte knows which value it holds.

    No lifetime is computed here: a value that was overwritten too early is found when somebody reads it. The lives
    that the plan claims must cover every access.
    """
    if set(plan.functions) != {f.name for f in program.functions}:
        raise InternalError(program.name, "the plan is of other functions")
    for function in program.functions:
        _Replay(program, function, plan).run()


class _Replay:
    """One function over one shadow memory. The caller's buffers have no bytes here."""

    def __init__(self, program: Program, function: Function, plan: MemoryPlan) -> None:
        self.function, self.plan, self.time = function, plan, -1
        self.elsewhere = {*function.ins, *function.outs} if function.caller else set()
        placed = [*plan.states, *plan.functions[function.name]]
        self.slots = {s.value: s for s in placed}
        self.ids = {v: i + 1 for i, v in enumerate(self.slots)}
        self.memory = np.zeros(plan.arena, np.int32)
        self.require(len(self.slots) == len(placed), function.name, "a value has two slots")
        resident = {s.value for s in program.states if s.storage == "sram"}
        self.require(resident == {s.value for s in plan.states}, function.name, "not all states in sram have a slot")

    def run(self) -> None:
        """Give inputs and states their bytes, make every call, and ask for what must be there at the end."""
        for slot in self.slots.values():
            self.require(slot.offset >= 0 and slot.end <= self.plan.arena, slot.value, "lies outside the arena")
            self.require(slot.offset % ALIGN == 0, slot.value, "is not aligned")
        given = [*(s.value for s in self.plan.states), *(v for v in self.function.ins if v not in self.elsewhere)]
        for value in given:
            self.write(value)
        for value in given:
            self.require(self.holds(value), value, "shares bytes with another input or state")
        for call in self.function.calls:
            self.time += 1
            self.call(call)
        self.time += 1
        renewed = dict(self.function.updates)
        for slot in self.plan.states:
            after = self.slot(renewed.get(slot.value, slot.value))
            self.require(after.offset == slot.offset and self.holds(after.value), slot.value, "is lost at the end")
        for value in self.function.outs:
            self.require(value in self.elsewhere or self.holds(value), value, "is lost at the end")

    def call(self, call: Call) -> None:
        """Read all operands, then write all results and the scratch, which may not touch the operands."""
        reads = [v for v in dict.fromkeys(call.ins) if self.placed(v, call)]
        for v in reads:
            self.require(self.holds(v), call.node, f"{v.name} was overwritten before this reads it")
        writes = [*call.outs, *([call.scratch] if call.scratch else [])]
        for o, w in enumerate(writes):
            if not self.placed(w, call):
                continue
            for r in reads:
                a, b = self.slots[w], self.slots[r]
                apart = a.end <= b.offset or b.end <= a.offset
                same = a.offset == b.offset and a.end == b.end and w is not call.scratch
                self.require(
                    apart or (same and self.inplace(call, r, o)), call.node, f"{w.name} shares bytes with {r.name}"
                )
            self.write(w)
        for w in writes:
            self.require(w in self.elsewhere or self.holds(w), call.node, "two of its results share bytes")

    @staticmethod
    def inplace(call: Call, value: Value, o: int) -> bool:
        """True if result `o` may lie on `value` at every position where it is an input."""
        positions = [i for i, v in zip(call.at, call.ins, strict=True) if v == value]
        return all((i, o) in call.kernel.inplace for i in positions)

    def placed(self, value: Value, call: Call) -> bool:
        """True if it lies in the arena; it must have exactly one place."""
        inside = value in self.slots
        self.require(inside != (value in self.elsewhere), call.node, f"{value.name} must have exactly one place")
        return inside

    def holds(self, value: Value) -> bool:
        """True if all its bytes hold it; it must be alive."""
        s = self.slot(value)
        self.require(s.first <= self.time <= s.last, value, f"is used at call {self.time}, outside its life")
        return bool((self.memory[s.offset : s.end] == self.ids[value]).all())

    def write(self, value: Value) -> None:
        """Its bytes hold it from now on."""
        s = self.slot(value)
        self.memory[s.offset : s.end] = self.ids[value]

    def slot(self, value: Value) -> Slot:
        """Its slot, which the plan must have."""
        self.require(value in self.slots, value, "has no slot")
        return self.slots[value]

    def require(self, condition: bool, where: object, what: str) -> None:
        """Our fault unless `condition` holds."""
        if not condition:
            raise InternalError(f"{self.function.name}: {where}", what)
