"""The rounds of a loop over channels, as the checker of memory plans sees them. Floor 4."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np

from tte.program import Call, Inner, Loop, Slot
from tte.types import Array, DType, TensorType, Value

Reads: TypeAlias = list[tuple[Value, Array]]


class Memory(Protocol):
    """A memory whose every byte knows what it holds."""

    memory: Array

    def placed(self, value: Value, call: Call) -> bool:
        """True if it lies in the arena; it must have exactly one place."""
        ...

    def alive(self, value: Value) -> Slot:
        """Its slot, which must be alive now."""
        ...

    def wanted(self, value: Value) -> Array:
        """What its bytes know if they hold all of it."""
        ...

    def require(self, condition: bool, where: object, what: str) -> None:
        """Our fault unless `condition` holds."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """One loop. `marks` are what bytes know that hold what was made of a value in a round: something below zero."""

    call: Call
    loop: Loop
    of: Memory
    marks: dict[tuple[Value, int], int] = field(default_factory=dict)

    def run(self) -> None:
        """Make all calls, round by round; then all results must be there, whole."""
        made = {v for p in self.call.parts for v in p.outs}
        inner = made & self.loop.places.keys()
        self.of.require({*self.call.outs} == made - inner, self.call.node, "its results are not its calls'")
        for i in self.loop.calls:
            self.covers(i)
        for c, i in self.loop.order:
            self.step(i, c, made)
        for i in self.loop.calls:
            for o, v in enumerate(i.call.outs):
                if v not in inner and self.of.placed(v, self.call):
                    self.ends(i, o, v)
        for v in self.call.outs:
            if self.of.placed(v, self.call):
                self.of.memory[self.place(v, v.type, None, 0)] = self.of.wanted(v)

    def covers(self, i: Inner) -> None:
        """It is cut as its op offers, and its rounds make all of its results."""
        node, n = i.call.node, i.until
        ins, outs = node.types
        self.of.require(i.slices in node.op.slices(ins, outs), node, "cannot be cut like this")
        read = [t.shape[a] for t, a in zip(ins, i.slices.ins, strict=True) if a is not None]
        made = [t.shape[a] for t, a in zip(outs, i.slices.outs, strict=True) if a is not None]
        right = all(k == n for k in made) and all(k == n if len(made) < len(outs) else k >= n for k in read)
        self.of.require(right and n % self.loop.group == 0, node, f"is not made by {n} channels")

    def step(self, i: Inner, c: int, made: set[Value]) -> None:
        """Read the channels from c on, then write them; nothing that is read may be touched."""
        call = i.call
        read: Reads = []
        for k, v in zip(call.at, call.ins, strict=True):
            if self.here(v):
                axis = i.slices.ins[k]
                place = self.place(v, call.node.ins[k].type, axis, c)
                seen = self.of.memory[place]
                if v in made:
                    right = axis is not None and bool((seen == self.marks.get((v, c), 0)).all())
                else:
                    right = np.array_equal(seen, self.of.wanted(v)[place - self.of.alive(v).offset])
                self.of.require(right, call.node, f"{v.name} from channel {c} on was overwritten, or is not made")
                read.append((v, place))
        for o, v in enumerate(call.outs):
            if self.here(v):
                self.write(i, o, c, read)
        if call.scratch:
            self.mark(call.scratch, c, self.ring(call.scratch, call.scratch.type.bytes), call, read)
        for o, v in enumerate(call.outs):
            if self.here(v):
                place = self.place(v, v.type, i.slices.outs[o], c)
                own = bool((self.of.memory[place] == self.marks[v, c]).all())
                self.of.require(own, call.node, f"{v.name} shares bytes with another result, or scratch")

    def write(self, i: Inner, o: int, c: int, read: Reads) -> None:
        """Result `o`; a sum must still hold what the round before left."""
        call, v, axis = i.call, i.call.outs[o], i.slices.outs[o]
        place = self.place(v, v.type, axis, c)
        if axis is None and c:
            before = self.marks[v, c - self.loop.group]
            self.of.require(
                bool((self.of.memory[place] == before).all()), call.node, f"the sum {v.name} was overwritten"
            )
        others = [(x, seen) for x, seen in read if not (self.inplace(call, x, o) and np.array_equal(place, seen))]
        self.mark(v, c, place, call, others)

    def mark(self, v: Value, c: int, place: Array, call: Call, read: Reads) -> None:
        """These bytes hold what is made of a value in round c, and are none of those that were read."""
        for x, seen in read:
            apart = place[-1] < seen[0] or seen[-1] < place[0] or not np.isin(place, seen).any()
            self.of.require(bool(apart), call.node, f"{v.name} shares bytes with {x.name}, which this reads")
        self.marks[v, c] = -1 - len(self.marks)
        self.of.memory[place] = self.marks[v, c]

    def ends(self, i: Inner, o: int, v: Value) -> None:
        """All channels of a result are there, or the last of its sums."""
        axis, n = i.slices.outs[o], self.loop.group
        for c in range(0, i.until, n) if axis is not None else (i.until - n,):
            whole = bool((self.of.memory[self.place(v, v.type, axis, c)] == self.marks[v, c]).all())
            self.of.require(whole, v, f"channel {c} is lost in the loop that makes it")

    def here(self, v: Value) -> bool:
        """True if it has bytes in the arena."""
        return v in self.loop.places or self.of.placed(v, self.call)

    def place(self, v: Value, t: TensorType, axis: int | None, c: int) -> Array:
        """The bytes of a round's channels of a value of type `t`, in order; of bits, all."""
        n = t.shape[axis] if axis is not None else 1
        if v in self.loop.places:
            self.of.require(axis is not None, v, "exists a few channels at a time only")
            return self.ring(v, t.bytes // n * self.loop.group)
        slot = self.of.alive(v)
        self.of.require(slot.bytes == t.bytes, v, "has a place of another size")
        if axis is None or t.dtype is DType.U1:
            return np.arange(slot.offset, slot.end)
        inner = int(np.prod(t.shape[axis + 1 :], dtype=int)) * t.dtype.bits // 8
        starts = np.arange(slot.offset + c * inner, slot.end, n * inner)
        return np.asarray((starts[:, None] + np.arange(self.loop.group * inner)).ravel())

    def ring(self, v: Value, size: int) -> Array:
        """So many bytes at its place in the scratch."""
        self.of.require(self.call.scratch is not None, v, "has no place")
        slot = self.of.alive(self.call.scratch or v)
        start = slot.offset + self.loop.places[v]
        self.of.require(slot.offset <= start and start + size <= slot.end, v, "lies outside the scratch of its loop")
        return np.arange(start, start + size)

    @staticmethod
    def inplace(call: Call, value: Value, o: int) -> bool:
        """True if result `o` may lie on `value` at every position where it is an input."""
        positions = [i for i, v in zip(call.at, call.ins, strict=True) if v == value]
        return all((i, o) in call.kernel.inplace for i in positions)
