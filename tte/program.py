"""Lowered programs and their memory plans. Floor 3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tte.ir import Node, State
from tte.op import Consts, Kernel, Scalars, Slices, Values
from tte.types import Value

QUEUE = 40  # bytes of runtime_c/tte_queue.h's tte_queue
ALIGN = 8  # of every tensor, so that a kernel may read it by words on any board; costs at most 7 bytes a tensor


def padded(size: int) -> int:
    """Bytes that a tensor takes, the next one being aligned."""
    return -(-size // ALIGN) * ALIGN


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
    kernel is given, by name of the operand or parameter. `unit` is where it runs. With a `loop` there is no kernel, and
    `scratch` holds what exists only within that. With `pieces` they are what is called instead.
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
    loop: Loop | None = None
    unit: str = "cpu"
    pieces: tuple[Piece, ...] = ()

    @property
    def parts(self) -> tuple[Call, ...]:
        """The calls of its loop, or itself."""
        return tuple(inner.call for inner in self.loop.calls) if self.loop else (self,)

    def inplace(self, kernel: Kernel) -> Iterator[tuple[Value, Value]]:
        """Inputs and results of one size that the kernel lets share memory, at every position of the input."""
        for o, y in enumerate(self.outs):
            for x in dict.fromkeys(self.ins):
                positions = (i for i, v in zip(self.at, self.ins, strict=True) if v == x)
                if x.type.bytes == y.type.bytes and all((i, o) in kernel.inplace for i in positions):
                    yield x, y


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A part of a whole call's results: its parameters, and how many elements later each of its arguments begins."""

    call: Call
    params: Scalars
    later: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Inner:
    """A call in a loop over channels: how the operands of its node are cut, and the channel before which it ends."""

    call: Call
    slices: Slices
    until: int


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """Calls that run one after the other for `group` channels from c on, c = 0, group, 2 * group.. while c < `until`.

    `places` are offsets in the scratch of the call that holds the loop: of values of which no more than those channels
    exist, side by side, and of the calls' own scratch.
    """

    calls: tuple[Inner, ...]
    group: int
    places: dict[Value, int]

    @property
    def order(self) -> Iterator[tuple[int, Inner]]:
        """All that is called, in order, and the first channel."""
        for c in range(0, max(i.until for i in self.calls), self.group):
            yield from ((c, inner) for inner in self.calls if c < inner.until)


@dataclass(frozen=True, slots=True, eq=False)
class Cascade:
    """Neighbouring calls, first <= i < stop, that run row by row.

    `order` names, by their place in the cascade, the calls whose next row is made, one after the other. `rings` are
    values of which only the last rows are kept, and how many; row r lies at r modulo that. A value that has a home lies
    where that one does, and its rows are replaced by those. `backward` it goes from the last rows to the first.
    """

    first: int
    stop: int
    order: tuple[int, ...]
    rings: dict[Value, int]
    homes: dict[Value, Value]
    backward: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """What a graph became. `ins` and `outs` are storage values, as in Call; with `caller` the caller's buffers.

    `cascades` are ranges of `calls`, in order and apart. `bound` is a number of bytes below which no places can go;
    without cascades no order of the calls can either (`order` proves it).

    Where call 0 is an arrival, the function stops before each of its rows and goes on when it is there: `position` are
    the rows that each call of the first cascade has made, and the number of its steps.
    """

    name: str
    ins: Values
    outs: Values
    calls: tuple[Call, ...]
    updates: tuple[tuple[Value, Value], ...]
    caller: bool = False
    bound: int = 0
    cascades: tuple[Cascade, ...] = ()
    position: Value | None = None

    @property
    def parts(self) -> Iterator[Call]:
        """The calls that have a kernel: those in loops, and all others."""
        return (part for call in self.calls for part in call.parts)

    @property
    def arrival(self) -> Call | None:
        """The call that stands for the rows of the input as they come, where the function takes them one by one."""
        return self.calls[0] if self.calls and self.calls[0].kernel.form == "arrival" else None

    @property
    def blocks(self) -> Iterator[tuple[range, Cascade | None]]:
        """The calls in turn: one, or a cascade's. One call is a cascade if its step doesn't make all rows in order."""
        starts = {c.first: c for c in self.cascades}
        at = 0
        while at < len(self.calls):
            found = starts.get(at)
            calls = range(at, found.stop if found else at + 1)
            plain = found and len(calls) == 1 and self.calls[at].kernel.form != "flat" and not found.backward
            yield calls, None if plain else found
            at = calls.stop

    @property
    def steps(self) -> Iterator[int]:
        """The calls whose C function is entered, one after the other."""
        for calls, cascade in self.blocks:
            first = self.calls[calls[0]]
            times = len([*first.loop.order]) if first.loop else len(first.pieces) or 1
            found = (calls[k] for k in (cascade.order if cascade else (0,) * times))
            yield from (i for i in found if self.calls[i].kernel.form != "arrival")


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Functions over shared states, for one board."""

    name: str
    states: tuple[State, ...]
    functions: tuple[Function, ...]

    @property
    def jobs(self) -> dict[Call, int]:
        """The calls that the cpu hands to another unit, and their numbers."""
        calls = (c for f in self.functions for c in f.calls if c.unit != "cpu")
        return {c: i for i, c in enumerate(calls)}


@dataclass(frozen=True, slots=True)
class Slot:
    """Where in the arena a value lies, and at which calls (both included) it is alive; inputs live from call -1.

    With `rows` it is a ring of so many, in which row r lies at r modulo `rows`. What a cascade touches is alive at all
    of its calls.
    """

    value: Value
    offset: int
    first: int
    last: int
    rows: int = 0

    @property
    def bytes(self) -> int:
        """Bytes that it takes."""
        t = self.value.type
        return t.bytes // t.shape[1] * self.rows if self.rows else t.bytes

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.bytes


@dataclass(frozen=True, slots=True)
class Windows:
    """Places of a function that there are several times, so many bytes apart: all but those of states."""

    function: str
    count: int
    bytes: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The arena in bytes, the states that live in it, and the slots of each function.

    `bound` is proven: no order of the calls and no places need fewer bytes, for these kernels and ALIGN. The last
    `queue` bytes are those through which the cpu hands over jobs.
    """

    arena: int
    bound: int
    states: tuple[Slot, ...]
    functions: dict[str, tuple[Slot, ...]]
    queue: int = 0
    windows: Windows | None = None

    def alive(self, function: Function, step: int) -> tuple[Slot, ...]:
        """What lives at a call; of a result and the input that it overwrites, the result."""
        slots = (*self.states, *self.functions[function.name])
        living = sorted((s for s in slots if s.first <= step <= s.last), key=lambda s: s.first)
        return tuple({s.offset: s for s in living}.values())
