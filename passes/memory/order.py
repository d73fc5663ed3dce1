"""Put the calls in the order with the lowest peak of memory. Floor 5."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import pairwise
from typing import TypeAlias

from tte.passes.memory.flow import Flow, bits, flow
from tte.passes.memory.rows import shared
from tte.program import Function, Program

BUDGET = 300_000  # calls that the search may look at in one function
WIDTHS = (1, 8, 64)  # of the beam

Path: TypeAlias = "tuple[Path, int] | None"


def order(program: Program, by_rows: bool = False) -> Program:
    """Reorder every function, and note in it the bytes below which no order can go.

    `by_rows` every call may be made row by row, and as a cascade may spare the largest layers, no part of the
    program is taken lightly.
    """
    return replace(program, functions=tuple(_reorder(f, by_rows) for f in program.functions))


def _reorder(function: Function, by_rows: bool) -> Function:
    """Cut where a call is comparable to all others, then search each part; the given order stays where it is best."""
    search = Search(flow(function, shared) if by_rows else flow(function))
    found = search.run(even=by_rows)
    bound = 0 if by_rows else found.bound
    return replace(function, calls=tuple(function.calls[i] for i in found.order), bound=bound)


@dataclass(frozen=True, slots=True)
class Found:
    """An order, its peak, and a proven lower bound of the peak of any order."""

    order: tuple[int, ...]
    peak: int
    bound: int


@dataclass(frozen=True, slots=True)
class State:
    """Calls made so far: the peak up to here, the bytes alive now, and what can be called next."""

    peak: int
    live: int
    done: int
    ready: int
    path: Path = None


class Search:
    """The orders of one function. `looked` counts the calls looked at: a measure of work that no clock disturbs."""

    def __init__(self, f: Flow, budget: int = BUDGET) -> None:
        self.flow, self.budget, self.looked = f, budget, 0
        self.after = [0] * f.calls
        for call in range(f.calls):
            for p in bits(f.before[call]):
                self.after[p] |= 1 << call

    def run(self, even: bool = False) -> Found:
        """Best order of each part in turn; unless `even`, a part need not be better than what another asks for."""
        f = self.flow
        level = proven = f.forced()
        ready = sum(1 << c for c in range(f.calls) if not f.before[c])
        state = State(level, f.start, 0, ready)
        peak = level
        for part in self.parts():
            state, bound = self.part(replace(state, peak=0) if even else state, part)
            proven, peak = max(proven, bound), max(peak, state.peak)
        return Found(tuple(_calls(state.path)), peak, proven)

    def parts(self) -> Iterator[range]:
        """Slices of the given order that keep their place in every order: between calls comparable to all others."""
        f = self.flow
        up, down = f.closure()
        fixed = [c for c in range(f.calls) if up[c].bit_count() + down[c].bit_count() + 1 == f.calls]
        ends = sorted({0, f.calls, *fixed, *(c + 1 for c in fixed)})
        return (range(a, b) for a, b in pairwise(ends))

    def part(self, start: State, part: range) -> tuple[State, int]:
        """The best end of a part that `start` leads to, and a lower bound of its peak."""
        best = start
        for call in part:
            best = self.make(best, call)
        end = best.done
        for width in WIDTHS:
            if best.peak == start.peak or self.looked > self.budget // 2:
                break
            found = self.beam(start, end, width, best.peak)
            best = min(best, found or best, key=lambda s: s.peak)
        if best.peak == start.peak:
            return best, start.peak
        return self.exact(start, end, best)

    def beam(self, start: State, end: int, width: int, limit: int) -> State | None:
        """Keep the `width` best states after each call; None where none stays below `limit`."""
        states = [start]
        while states and states[0].done != end:
            found: dict[int, State] = {}
            for state in states:
                for s in self.next(state, end):
                    known = found.get(s.done)
                    if s.peak < limit and (known is None or s.peak < known.peak):
                        found[s.done] = s
            states = sorted(found.values(), key=lambda s: (s.peak, s.live))[:width]
            if self.looked > self.budget // 2:
                width = 1
        return states[0] if states else None

    def exact(self, start: State, end: int, best: State) -> tuple[State, int]:
        """Lowest peak first, then latest: proves the optimum, or what it came to within the budget."""
        heap = [(start.peak, 0, start)]
        seen = {start.done: start.peak}
        count = 0
        while heap and self.looked < self.budget:
            _, _, state = heappop(heap)
            if state.done == end:
                return state, state.peak
            if seen[state.done] < state.peak:
                continue
            for s in self.next(state, end):
                if s.peak < min(best.peak, seen.get(s.done, best.peak)):
                    seen[s.done] = s.peak
                    count -= 1
                    heappush(heap, (s.peak, count, s))
        return best, min(best.peak, heap[0][0]) if heap else best.peak

    def next(self, state: State, end: int) -> list[State]:
        """All that may come next; one that raises neither the peak nor what is alive comes alone."""
        found = []
        for call in bits(state.ready & end):
            self.looked += 1
            s = self.make(state, call)
            if s.peak == state.peak and s.live <= state.live:
                return [s]
            found.append(s)
        return found

    def make(self, state: State, call: int) -> State:
        """Make a call."""
        f = self.flow
        during, live = f.step(state.done, state.live, call)
        done, ready = state.done | 1 << call, state.ready & ~(1 << call)
        for c in bits(self.after[call]):
            if not f.before[c] & ~done:
                ready |= 1 << c
        return State(max(state.peak, during), live, done, ready, (state.path, call))


def _calls(path: Path) -> list[int]:
    """The calls along a path, first to last."""
    found = []
    while path is not None:
        path, call = path
        found.append(call)
    return found[::-1]
