"""Loops over channels: what is large only between calls exists a few channels at a time. Floor 5."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from itertools import product
from math import prod
from typing import TypeAlias

from tte.op import Slices
from tte.passes.memory.flow import flow
from tte.passes.memory.rounds import compose, fitting
from tte.program import Call, Function, Program, padded
from tte.shapes.channels import Cut, cut
from tte.target import Board
from tte.types import DType, TensorType, Value

GROUP = 4  # channels in one round, at most
MOST = 64  # ways to cut the calls around one value that are looked at

Chosen: TypeAlias = dict[int, Slices]  # by call: how it is cut


def chains(program: Program, board: Board, group: int = GROUP) -> Program:
    """Join calls of form "channels" into loops wherever that spares bytes of what they hand on, the largest first."""
    return replace(program, functions=tuple(_chained(f, board, group) for f in program.functions))


def _chained(function: Function, board: Board, group: int) -> Function:
    """Find one loop after the other; each is then a call like any other."""
    ways: dict[Call, tuple[Slices, ...]] = {}
    tried: set[Value] = set()
    search = _Search(function, board, group, ways)
    while todo := [v for v in search.streamable if v not in tried]:
        v = max(todo, key=lambda v: (v.type.bytes, v.name))
        tried.add(v)
        if shorter := search.joined(v):
            search = _Search(shorter, board, group, ways)
    return search.function


class _Search:
    """The loops of one function. Calls are numbers, sets of calls are bit masks."""

    def __init__(self, function: Function, board: Board, group: int, ways: dict[Call, tuple[Slices, ...]]) -> None:
        """`ways` are those to cut a call, of calls that were looked at before too."""
        self.function, self.board, self.group = function, board, group
        self.calls = function.calls
        self.maker = {v: i for i, c in enumerate(self.calls) for v in c.outs}
        self.readers: dict[Value, list[int]] = {}
        for i, c in enumerate(self.calls):
            for v in dict.fromkeys(c.ins):
                self.readers.setdefault(v, []).append(i)
        self.renewed = {new: old for old, new in function.updates}
        self.flow = flow(function)
        self.up, self.down = self.flow.closure()
        for c in self.calls:
            if c not in ways:
                ways[c] = c.node.op.slices(*c.node.types) if not c.loop and fitting(c, board) else ()
        self.ways = [ways[c] for c in self.calls]
        self.kept = {*function.outs, *self.renewed}
        # Values that one call may hand to others a few channels at a time.
        self.streamable = [
            v
            for v, i in self.maker.items()
            if v not in self.kept and v.type.dtype is not DType.U1 and self.ways[i] and v in self.readers
            if all(self.ways[r] for r in self.readers[v])
        ]

    def grown(self, v: Value) -> Chosen | None:
        """The loop around a value that spares most, taking in one neighbouring value after the other."""
        chosen = self.stream({}, v)
        while chosen:
            spared = self.spared(chosen)
            near = {u for i in chosen for u in (*self.calls[i].ins, *self.calls[i].outs)} - self.rings(chosen).keys()
            moves = (self.stream(chosen, u) for u in sorted(near & {*self.streamable}, key=lambda u: u.name))
            best = max((m for m in moves if m), key=self.spared, default=chosen)
            if self.spared(best) <= spared:
                return chosen
            chosen = best
        return None

    def stream(self, chosen: Chosen, v: Value) -> Chosen | None:
        """The loop with a value made and read in it; None where that cannot be, or spares nothing."""
        around = [self.maker[v], *self.readers[v]]
        options = [(chosen[i],) if i in chosen else self.ways[i] for i in around]
        if prod(map(len, options)) > MOST:
            return None
        found = ({**chosen, **dict(zip(around, ways, strict=True))} for ways in product(*options))
        fitting = [c for c in found if v in self.rings(c) and self.valid(c)]
        return max(fitting, key=self.spared, default=None)

    def rings(self, chosen: Chosen) -> dict[Value, int]:
        """What exists a few channels at a time, and its bytes then: values that no call outside reads."""
        found, n = {}, self.width(chosen)
        for i in chosen:
            for v, c in zip(self.calls[i].outs, self.made(chosen, i), strict=True):
                inside = v not in self.kept and v in self.readers and all(r in chosen for r in self.readers[v])
                if c and inside and v.type.dtype is not DType.U1:
                    found[v] = padded(v.type.bytes // c.count * n)
        return found

    def spared(self, chosen: Chosen) -> int:
        """Bytes of whole values that need not exist, less those that could be spared if these were cut otherwise."""
        found = sum(padded(v.type.bytes) - size for v, size in self.rings(chosen).items())
        for i, way in chosen.items():
            sums = (v for v, axis in zip(self.calls[i].outs, way.outs, strict=True) if axis is None)
            found -= sum(padded(v.type.bytes) for v in sums if v in self.streamable)
        return found

    def width(self, chosen: Chosen) -> int:
        """Channels in a round: they divide those of every call."""
        n = self.group
        while any(self.until(chosen, i) % n for i in chosen):
            n //= 2
        return n

    def until(self, chosen: Chosen, i: int) -> int:
        """The channels that a call has."""
        given = map(_cut, self.calls[i].node.types[0], chosen[i].ins)
        return min(c.count for c in (*given, *self.made(chosen, i)) if c)

    def read(self, chosen: Chosen, i: int) -> list[Cut | None]:
        """How a call's inputs in memory are cut."""
        call, axes = self.calls[i], chosen[i].ins
        return [_cut(call.node.ins[k].type, axes[k]) for k in call.at]

    def made(self, chosen: Chosen, i: int) -> list[Cut | None]:
        """How a call's results are cut."""
        return [_cut(v.type, axis) for v, axis in zip(self.calls[i].outs, chosen[i].outs, strict=True)]

    def valid(self, chosen: Chosen) -> bool:
        """True if the calls can run round by round."""
        members = sum(1 << i for i in chosen)
        after = _union(self.down, chosen) & ~members
        if after & _union(self.up, chosen) or not all(self.complete(chosen, i) for i in chosen):
            return False
        n = self.width(chosen)
        able = all(fitting(self.calls[i], self.board, way, n) for i, way in chosen.items())
        return able and all(self.agree(chosen, i) for i in chosen)

    def complete(self, chosen: Chosen, i: int) -> bool:
        """True if the rounds of a call make all of its results; those that are sums need all of what they sum."""
        until, made = self.until(chosen, i), self.made(chosen, i)
        given = [c for c in map(_cut, self.calls[i].node.types[0], chosen[i].ins) if c]
        if None in made:
            return all(c.count == until for c in given)
        return all(c.count == until for c in made if c)

    def agree(self, chosen: Chosen, i: int) -> bool:
        """True if all in the loop read what this call makes, and what it replaces, by the channels that it makes."""
        for v, c in zip(self.calls[i].outs, self.made(chosen, i), strict=True):
            old = self.renewed.get(v)
            for value in (v, old) if old else (v,):
                for r in (r for r in self.readers.get(value, ()) if r in chosen):
                    cuts = zip(self.calls[r].ins, self.read(chosen, r), strict=True)
                    late = value is v and self.until(chosen, r) > self.until(chosen, i)
                    if c is None or late or any(x == value and k != c for x, k in cuts):
                        return False
        return True

    def joined(self, v: Value) -> Function | None:
        """The function with a loop in which a value is made and read; None where none has a lower peak of memory."""
        for chosen in (self.grown(v), self.stream({}, v)):
            order = sorted(chosen or ())
            if chosen and order:
                members = [(self.calls[i], chosen[i], self.until(chosen, i)) for i in order]
                composite = compose(members, self.width(chosen), self.rings(chosen), self.board)
                if self.lower(composite, order):
                    return self.replaced(composite, order)
        return None

    def lower(self, composite: Call, order: list[int]) -> bool:
        """True if one call needs fewer bytes than the calls that it stands for, one after the other."""
        f, members = self.flow, sum(1 << i for i in order)
        index = {v: x for x, v in enumerate(f.values)}
        done = (1 << f.calls) - 1 & ~members & ~_union(self.down, order)
        start = live = sum(f.sizes[index[v]] for v in composite.ins if v in index)
        most = 0
        for i in order:
            during, live = f.step(done, live, i)
            most, done = max(most, during), done | 1 << i
        made = sum(f.sizes[index[v]] for v in composite.outs if v in index)
        return start + made + (composite.scratch.type.bytes if composite.scratch else 0) < most

    def replaced(self, composite: Call, order: list[int]) -> Function:
        """The function with one call for these, where the last of them was or as soon after as can be."""
        inside, last = sum(1 << i for i in order), order[-1]
        before = {i: m for i, m in enumerate(self.flow.before) if i == last or not 1 << i & inside}
        before[last] = _union(self.flow.before, order) & ~inside
        waiting = {i: (m & ~inside) | (1 << last if m & inside else 0) for i, m in before.items()}
        calls, done, ready = list[Call](), 0, list[int]()
        while waiting or ready:
            for i in [i for i, m in waiting.items() if not m & ~done]:
                heappush(ready, i)
                del waiting[i]
            i = heappop(ready)
            done |= 1 << i
            calls.append(composite if i == last else self.calls[i])
        return replace(self.function, calls=tuple(calls))


def _cut(t: TensorType, axis: int | None) -> Cut | None:
    """How a tensor is cut, if it is."""
    return None if axis is None else cut(t, axis)


def _union(masks: Sequence[int], calls: Iterable[int]) -> int:
    """All that is in the masks of these calls."""
    found = 0
    for i in calls:
        found |= masks[i]
    return found
