"""A function as bytes that come alive and die: what `order` and `plan` reason about.

Calls are numbers, sets of calls are integers used as bit masks, and values are indices into `sizes`. Floor 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from tte.program import Call, Function, padded
from tte.types import Value

Pairs: TypeAlias = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """The values of a function that the planner places (states and the caller's buffers lie elsewhere), and its calls.

    `reuse` are a call's inputs x and results y that may share memory if x dies there, and how much: (x, y, bytes).
    """

    values: tuple[Value, ...]
    sizes: tuple[int, ...]  # padded
    given: tuple[int, ...]  # values that are there before the first call
    kept: frozenset[int]  # and those that must be there after the last
    readers: tuple[int, ...]  # by value: the calls that read it
    maker: tuple[int, ...]  # by value: the call that makes it; none for those that are given
    reads: tuple[tuple[int, ...], ...]  # by call
    made: tuple[int, ...]  # by call: bytes of its results,
    lasting: tuple[int, ...]  # of those that anybody reads,
    scratch: tuple[int, ...]  # and for itself
    reuse: tuple[Pairs, ...]
    before: tuple[int, ...]  # by call: those that must have been made

    @property
    def calls(self) -> int:
        """Number of calls."""
        return len(self.reads)

    @property
    def start(self) -> int:
        """Bytes alive before the first call; inputs that nobody reads are overwritten by it."""
        return sum(self.sizes[x] for x in self.given if self.readers[x])

    def step(self, done: int, live: int, call: int) -> tuple[int, int]:
        """Bytes during `call` and after it, given the calls before it and the bytes that they left."""
        left = ~(done | 1 << call)
        dying = [x for x in self.reads[call] if not self.readers[x] & left and x not in self.kept]
        during = live + self.made[call] + self.scratch[call]
        if self.reuse[call]:
            during -= saved(tuple(p for p in self.reuse[call] if p[0] in dying))
        return during, live + self.lasting[call] - sum(self.sizes[x] for x in dying)

    def closure(self) -> tuple[list[int], list[int]]:
        """By call: all calls that precede it in every order, and all that follow it."""
        up, down = [0] * self.calls, [0] * self.calls
        for call in range(self.calls):
            for p in bits(self.before[call]):
                up[call] |= up[p] | 1 << p
        for call in reversed(range(self.calls)):
            for p in bits(self.before[call]):
                down[p] |= down[call] | 1 << call
        return up, down

    def forced(self) -> int:
        """Bytes that any order needs: at each call, all that is made before it and read after it in every order."""
        up, down = self.closure()
        full = (1 << self.calls) - 1
        need = list(self.scratch)
        for x, size in enumerate(self.sizes):
            own = 0 if x in self.given else 1 << self.maker[x]
            since = own | down[self.maker[x]] if own else full
            until = full if x in self.kept else own | self.readers[x]
            for r in bits(self.readers[x]):
                until |= up[r]
            for call in bits(since & until):
                need[call] += size
        for call, pairs in enumerate(self.reuse):
            dying = tuple(p for p in pairs if p[0] not in self.kept and not self.readers[p[0]] & down[call])
            need[call] -= saved(dying)
        ends = sum(self.sizes[x] for x in self.given), sum(self.sizes[y] for y in self.kept)
        return max(*need, *ends)


def flow(function: Function, over: Callable[[Call], Iterable[tuple[Value, Value, int]]] = lambda call: ()) -> Flow:
    """Number the values; states and the caller's buffers only order the calls.

    `over` are more pairs of a call's input and result that may share so many bytes than those that may be the same.
    """
    outside = {new for _, new in function.updates} | ({*function.ins, *function.outs} if function.caller else set())
    maker = {v: i for i, c in enumerate(function.calls) for v in c.outs}
    inside = tuple(v for v in (*function.ins, *maker) if v not in outside)
    index = {v: i for i, v in enumerate(inside)}
    readers: dict[Value, int] = {}
    for i, c in enumerate(function.calls):
        for v in c.ins:
            readers[v] = readers.get(v, 0) | 1 << i
    sizes = tuple(padded(v.type.bytes) for v in inside)
    kept = frozenset(index[v] for v in function.outs if v in index)

    def same(call: Call) -> Iterator[tuple[Value, Value, int]]:
        return ((x, y, padded(x.type.bytes)) for x, y in call.inplace(call.kernel))

    def made(call: Call, unread: bool) -> int:
        found = (index[v] for v in call.outs if v in index)
        return sum(sizes[y] for y in found if unread or y in kept or inside[y] in readers)

    return Flow(
        values=inside,
        sizes=sizes,
        given=tuple(index[v] for v in function.ins if v in index),
        kept=kept,
        readers=tuple(readers.get(v, 0) for v in inside),
        maker=tuple(maker.get(v, -1) for v in inside),
        reads=tuple(tuple(dict.fromkeys(index[v] for v in c.ins if v in index)) for c in function.calls),
        made=tuple(made(c, True) for c in function.calls),
        lasting=tuple(made(c, False) for c in function.calls),
        scratch=tuple(padded(c.scratch.type.bytes) if c.scratch else 0 for c in function.calls),
        reuse=tuple(
            tuple((index[x], index[y], n) for x, y, n in (*same(c), *over(c)) if x in index and y in index)
            for c in function.calls
        ),
        before=tuple(_before(function, maker, readers)),
    )


def _before(function: Function, maker: dict[Value, int], readers: dict[Value, int]) -> Iterator[int]:
    """By call: those that make what it reads, those that read the state that it updates, and an arrival."""
    renewed = {new: old for old, new in function.updates}
    for i, call in enumerate(function.calls):
        mask = 1 if function.arrival and i else 0
        for v in call.ins:
            mask |= 1 << maker[v] if v in maker else 0
        for v in call.outs:
            mask |= readers.get(renewed[v], 0) & ~(1 << i) if v in renewed else 0
        yield mask


def span(f: Flow, x: int) -> tuple[int, int]:
    """When a value lives: from the call that makes it, -1 if it is given, to the last that reads it."""
    return f.maker[x], f.calls if x in f.kept else max([f.maker[x], *bits(f.readers[x])])


def saved(pairs: Pairs) -> int:
    """The most bytes that results can take over, each from one input and each input once."""
    if not pairs:
        return 0
    (x, y, size), rest = pairs[0], pairs[1:]
    free = tuple(p for p in rest if p[0] != x and p[1] != y)
    with_it = size + saved(free)
    return with_it if free == rest else max(with_it, saved(rest))


def bits(mask: int) -> Iterator[int]:
    """The positions of the ones."""
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1
