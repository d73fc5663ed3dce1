"""A checker of memory plans that shares nothing with the planner. Floor 5."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

import numpy as np

from tte.checker.loops import Rounds
from tte.errors import InternalError
from tte.program import ALIGN, Call, Cascade, Function, MemoryPlan, Program, Slot
from tte.types import Array, Value


def check_plan(program: Program, plan: MemoryPlan) -> None:
    """Replay the program over a memory whose every byte knows which row of which value it holds.

    No lifetime is computed here: a row that was overwritten too early is found when somebody reads it. The lives
    that the plan claims must cover every access.
    """
    if set(plan.functions) != {f.name for f in program.functions}:
        raise InternalError(program.name, "the plan is of other functions")
    for function in program.functions:
        _Replay(program, function, plan).run()


def height(value: Value) -> int:
    """Rows of a value; one unless it is a map of whole bytes."""
    shape = value.type.shape
    rows = len(shape) == 4 and shape[0] == 1 and value.type.size and value.type.dtype.bits >= 8
    return shape[1] if rows else 1


class _Replay:
    """One function over one shadow memory. The caller's buffers have no bytes here."""

    def __init__(self, program: Program, function: Function, plan: MemoryPlan) -> None:
        self.function, self.plan = function, plan
        self.since = self.until = -1  # what is touched now must be alive from here to there
        self.elsewhere = {*function.ins, *function.outs} if function.caller else set()
        placed = [*plan.states, *plan.functions[function.name]]
        self.slots = {s.value: s for s in placed}
        heights = accumulate((height(v) for v in self.slots), initial=1)
        self.ids = dict(zip(self.slots, heights, strict=False))  # of row 0; the other rows follow
        self.memory = np.zeros(plan.arena, np.int32)
        self.require(len(self.slots) == len(placed), function.name, "a value has two slots")
        resident = {s.value for s in program.states if s.storage == "sram"}
        self.require(resident == {s.value for s in plan.states}, function.name, "not all states in sram have a slot")

    def run(self) -> None:
        """Give inputs and states their bytes, make every call, and ask for what must be there at the end."""
        for slot in self.slots.values():
            self.require(
                slot.offset >= 0 and slot.end <= self.plan.arena - self.plan.queue, slot.value, "lies outside the arena"
            )
            self.require(slot.offset % ALIGN == 0, slot.value, "is not aligned")
        given = [*(s.value for s in self.plan.states), *(v for v in self.function.ins if v not in self.elsewhere)]
        given += [self.function.position] if self.function.position else []
        for value in given:
            self.write(value)
        for value in given:
            self.require(self.holds(value), value, "shares bytes with another input or state")
        self.stops()
        self.windows()
        self.calls()
        self.since = self.until = len(self.function.calls)
        renewed = dict(self.function.updates)
        for slot in self.plan.states:
            after = self.slot(renewed.get(slot.value, slot.value))
            self.require(after.offset == slot.offset and self.holds(after.value), slot.value, "is lost at the end")
        position = [self.function.position] if self.function.position else []
        for value in (*self.function.outs, *position):
            self.require(value in self.elsewhere or self.holds(value), value, "is lost at the end")

    def calls(self) -> None:
        """Every call as a whole, or with its cascade."""
        at = 0
        for cascade in (*self.function.cascades, None):
            for call in self.function.calls[at : cascade.first if cascade else None]:
                self.since = self.until = at
                self.call(call)
                at += 1
            if cascade:
                self.require(at == cascade.first, self.function.name, "its cascades are not in order")
                self.cascade(cascade)
                at = cascade.stop

    def windows(self) -> None:
        """Where there are several, they lie apart, in the arena, and hold all but the states and what updates them."""
        windows = self.plan.windows
        if windows is None or windows.function != self.function.name:
            return
        states = {*(s.value for s in self.plan.states), *(new for _, new in self.function.updates)}
        own = [s for s in self.slots.values() if s.value not in states]
        first, end = min(s.offset for s in own), max(s.end for s in own)
        self.require(end - first <= windows.bytes and windows.bytes % ALIGN == 0, self.function.name, "windows overlap")
        last = end + (windows.count - 1) * windows.bytes
        self.require(last <= self.plan.arena - self.plan.queue, self.function.name, "a window lies outside the arena")
        above = all(s.end <= first for s in self.plan.states)
        self.require(above, self.function.name, "a window shares bytes with a state")

    def stops(self) -> None:
        """A function that takes its input row by row starts with that, and keeps where it is."""
        position, found = self.function.position, self.function.cascades[:1]
        arriving = [i for i, c in enumerate(self.function.calls) if c.kernel.form == "arrival"]
        kept = position is not None and all(position.type.bytes == (c.stop + 1) * 4 for c in found)
        starts = all(c.first == 0 and not c.backward and c.order[0] == 0 for c in found)
        right = kept and starts and bool(found) and arriving == [0]
        self.require(right or (not arriving and position is None), self.function.name, "does not start with its input")

    def call(self, call: Call) -> None:
        """Read all operands, then write all results and the scratch, which may not touch the operands."""
        if call.loop:
            Rounds(call, call.loop, self).run()
            return
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

    def cascade(self, cascade: Cascade) -> None:
        """The steps of its calls, in its order."""
        self.since, self.until = cascade.first, cascade.stop - 1
        calls = self.function.calls[cascade.first : cascade.stop]
        running = [self.by_rows(c, cascade.backward) for c in calls]
        position = self.function.position
        for k in cascade.order:
            self.require(position is None or self.holds(position), calls[k].node, "the position was overwritten")
            self.require(next(running[k], False), calls[k].node, "makes more steps than it has")
        for call, steps in zip(calls, running, strict=True):
            self.require(not next(steps, False), call.node, "is not made to its end")

    def by_rows(self, call: Call, backward: bool) -> Iterator[bool]:
        """Make a step of the call each time that it is asked, and say so."""
        op, (types, outs) = call.node.op, call.node.types
        maps = all(self.same_rows(call.node.ins[i], v) for i, v in zip(call.at, call.ins, strict=True))
        self.require(maps and len(call.outs) == 1, call.node, "does not go by rows")
        (y,), h = call.outs, height(call.node.ins[0]) if call.ins else 0
        rows = range(height(y))[:: -1 if backward else 1]
        match call.kernel.form:
            case "window":
                w = op.window(types, outs)
                for r in rows:
                    top = r * w.stride - w.pad
                    under = [top + k * w.dilation for k in range(w.size)]
                    self.step(call, [r for r in under if 0 <= r < h], r, call.scratch)
                    yield True
            case "flat" | "arrival":
                for r in rows:
                    self.step(call, [r], r, call.scratch)
                    yield True
            case "accumulate":
                self.require(
                    height(y) == 1 and call.scratch is not None and not backward, call.node, "does not go by rows"
                )
                for r in range(h):
                    kept = [call.scratch] if r and call.scratch else []
                    self.require(all(map(self.holds, kept)), call.node, "its sums were overwritten")
                    self.step(call, [r], 0 if r == h - 1 else None, call.scratch)
                    yield True
            case _:
                self.require(False, call.node, "does not go by rows")

    @staticmethod
    def same_rows(shown: Value, value: Value) -> bool:
        """True if the rows of what a node reads are those of the value whose bytes it reads."""
        return height(shown) == height(value) and shown.type.bytes == value.type.bytes

    def step(self, call: Call, rows: list[int], made: int | None, scratch: Value | None) -> None:
        """Read these rows of all operands, write a row of the result and the scratch; nothing read may be written."""
        read: list[tuple[Value, Array]] = []
        for v in dict.fromkeys(v for v in call.ins if self.placed(v, call)):
            for r in rows:
                seen = self.row(v, r)
                self.require(
                    bool((seen == self.ids[v] + r).all()),
                    call.node,
                    f"row {r} of {v.name} was overwritten, or is not made",
                )
                read.append((v, seen))
        y = call.outs[0]
        written = [(y, made)] if made is not None and self.placed(y, call) else []
        for v, r in [*written, *([(scratch, 0)] if scratch else [])]:
            place = self.row(v, r)
            for x, seen in read:
                same = v is y and place.ctypes.data == seen.ctypes.data and len(place) == len(seen)
                allowed = not np.may_share_memory(place, seen) or (same and self.inplace(call, x, 0))
                self.require(allowed, call.node, f"{v.name} shares bytes with {x.name}, which this reads")
            place[:] = self.ids[v] + r
        for v, r in written:
            self.require(bool((self.row(v, r) == self.ids[v] + r).all()), call.node, "two of its results share bytes")

    def row(self, value: Value, r: int) -> Array:
        """The bytes of a row of a value, which must be alive."""
        s, n = self.alive(value), height(value)
        size = value.type.bytes // n
        at = s.offset + r % (s.rows or n) * size
        return self.memory[at : at + size]

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
        """True if all its bytes hold it; it must be alive, and whole."""
        s = self.alive(value)
        return s.rows in {0, height(value)} and np.array_equal(self.memory[s.offset : s.end], self.wanted(value))

    def wanted(self, value: Value) -> Array:
        """What its bytes know if they hold all of it: row 0, then the others."""
        n = height(value)
        return np.repeat(np.arange(n) + self.ids[value], value.type.bytes // n)

    def write(self, value: Value) -> None:
        """Its bytes hold it from now on."""
        s = self.slot(value)
        self.require(s.rows in {0, height(value)}, value, "is a ring, but is made as a whole")
        self.memory[s.offset : s.end] = self.wanted(value)

    def alive(self, value: Value) -> Slot:
        """Its slot, which must be alive now."""
        s = self.slot(value)
        self.require(
            s.first <= self.since and self.until <= s.last, value, f"is used at call {self.since}, outside its life"
        )
        return s

    def slot(self, value: Value) -> Slot:
        """Its slot, which the plan must have."""
        self.require(value in self.slots, value, "has no slot")
        return self.slots[value]

    def require(self, condition: bool, where: object, what: str) -> None:
        """Our fault unless `condition` holds."""
        if not condition:
            raise InternalError(f"{self.function.name}: {where}", what)
