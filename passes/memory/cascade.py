"""Which calls run row by row through rings, and with which kernels: fewest instructions within a budget. Floor 5."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tte.ir import Node
from tte.op import Kernel
from tte.passes.memory.flow import Flow, flow, padded, span
from tte.passes.memory.rows import BY_ROWS, Access, Pulled, access, kernels, pull, together
from tte.program import Call, Candidate, Cascade, Function, Program
from tte.types import Value

LONGEST = 80  # calls in a cascade
STEP = 60.0  # modelled instructions of a step beside its kernel's
SLOWER = {"smallest": 1.14, "balanced": 1.04}  # instructions, as a share of the fastest layer by layer
LARGER = 1.25  # `balanced` may need this much more memory than `smallest`
NO = float("inf")


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Neighbouring calls that run as one: `fixed` bytes beside scratch, and what each of its calls may be made with.

    `ways` are by call (bytes, modelled instructions, kernel), fewest instructions first. Of the scratch of a cascade
    only the largest counts, as nothing in it outlives a step.
    """

    first: int
    stop: int
    fixed: int
    ways: tuple[tuple[tuple[int, float, Kernel], ...], ...]
    pulled: Pulled | None = None

    def cost(self, budget: int) -> float:
        """Modelled instructions with kernels that leave its bytes within `budget`."""
        room = budget - self.fixed
        return sum(next((c for s, c, _ in w if s <= room), NO) for w in self.ways) if room >= 0 else NO

    def kernels(self, budget: int) -> Iterator[Kernel]:
        """Those kernels."""
        return (next(k for s, _, k in w if s <= budget - self.fixed) for w in self.ways)


class Segments:
    """All ways to cut one function, priced."""

    def __init__(self, function: Function) -> None:
        self.calls, self.flow = function.calls, flow(function)
        f = self.flow
        self.index = {v: x for x, v in enumerate(f.values)}
        self.life = [span(f, x) for x in range(len(f.values))]
        renewed = {new for _, new in function.updates}
        self.access = [None if renewed & {*c.outs} else access(c) for c in function.calls]
        layers = [self.layer(i) for i in range(f.calls)]
        self.limit = max((s.fixed for s in layers), default=0)
        self.by_stop: list[list[Segment]] = [[s] for s in layers]
        for i in range(f.calls):
            for s in self.cascades(i):
                self.by_stop[s.stop - 1].append(s)

    def alive(self, i: int) -> int:
        """Bytes made before call `i` and read by it or later."""
        return sum(self.flow.sizes[x] for x, (a, b) in enumerate(self.life) if a < i <= b)

    def layer(self, i: int) -> Segment:
        """The call as a whole."""
        call, f = self.calls[i], self.flow
        fixed = self.alive(i) + f.made[i]

        def scratch(c: Candidate) -> int:
            found = [(x, y) for x, y in call.inplace(c.kernel) if x in self.index and y in self.index]
            dying = [f.sizes[self.index[x]] for x, _ in found if self.life[self.index[x]][1] == i]
            return padded(c.scratch) - max(dying, default=0)

        fitting = [(scratch(c), c.cost, c.kernel) for c in call.candidates if not c.refused]
        least = min(s for s, _, _ in fitting)
        ways = tuple(sorted(((s - least, c, k) for s, c, k in fitting), key=lambda w: w[1]))
        return Segment(i, i + 1, fixed + least, (ways,))

    def cascades(self, i: int) -> Iterator[Segment]:
        """Cascades from call `i` on that may be of use: the rings alone leave room below the largest layer."""
        before = self.alive(i)
        for j in range(i, min(i + LONGEST, len(self.calls))):
            chain = self.access[i : j + 1]
            if chain[-1] is None:
                return
            found = self.cascade(i, j, before, [a for a in chain if a])
            if found is None:
                return
            if found.fixed <= self.limit:
                yield found

    def cascade(self, i: int, j: int, before: int, chain: list[Access]) -> Segment | None:
        """Calls i to j row by row; None if no longer cascade from i can be of use."""
        f = self.flow
        read = {v for a in chain for v in a.ins}
        outs = [a.out for a in chain if a.out not in self.index or a.out not in read or self.last(a.out) > j]
        pulled = pull(chain, outs)
        rings = sum(padded(a.row * pulled.rings[a.out]) for a in chain if a.out in pulled.rings and a.out not in pulled.homes)
        if before + rings > self.limit:
            return None
        whole = sum(f.sizes[self.index[v]] for v in outs if v in self.index)
        over = [(x, y, d) for x, y, d in pulled.over if x in self.index and y in self.index and y in outs]
        saved = max((self.saved(x, y, d) for x, y, d in over if self.last(x) <= j), default=0)
        ways, sums = [], 0
        for k, call in enumerate(self.calls[i : j + 1]):
            able = kernels(call)
            fitting = [c for c in call.candidates if c.kernel in able and not c.refused]
            kept = min(padded(c.scratch) for c in fitting) if able[0].form == "accumulate" else 0
            sums += kept
            macs, extra = call.node.op.macs(*call.node.types), STEP * chain[k].steps
            costs = {c.kernel: c.kernel.cost(macs, call.node.types[1], by_rows=True) + extra for c in fitting}
            ways.append(
                tuple(sorted(((padded(c.scratch) - kept, costs[c.kernel], c.kernel) for c in fitting), key=lambda w: w[1]))
            )
        return Segment(i, j + 1, before + whole + rings + sums - saved, tuple(ways), pulled)

    def last(self, v: Value) -> int:
        """The last call that reads it."""
        return self.life[self.index[v]][1]

    def saved(self, x: Value, y: Value, distance: int) -> int:
        """Bytes that y takes over from x."""
        a, b = self.flow.sizes[self.index[x]], self.flow.sizes[self.index[y]]
        return a + b - together(a, b, padded(distance))

    def best(self, budget: int) -> tuple[float, list[Segment]]:
        """The cheapest way to cut within `budget`, and its cost."""
        costs, cuts = [0.0], list[Segment]()
        for ending in self.by_stop:
            cost, _, segment = min(
                ((costs[s.first] + s.cost(budget), k, s) for k, s in enumerate(ending)), key=lambda e: e[:2]
            )
            costs.append(cost)
            cuts.append(segment)
        found, at = list[Segment](), len(cuts)
        while at:
            found.append(cuts[at - 1])
            at = found[-1].first
        return costs[-1], found[::-1]


@dataclass(frozen=True, slots=True)
class Plan:
    """How every function is cut."""

    segments: tuple[tuple[Segment, ...], ...]
    budget: int

    def prefer(self, program: Program) -> Callable[[Node, tuple[Candidate, ...]], Candidate]:
        """The kernels that it takes, for `select`."""
        chosen: dict[Value, Kernel] = {}
        for function, segments in zip(program.functions, self.segments, strict=True):
            for s in segments:
                calls = function.calls[s.first : s.stop]
                chosen |= {c.node.outs[0]: k for c, k in zip(calls, s.kernels(self.budget), strict=True)}
        return lambda node, candidates: next(c for c in candidates if c.kernel == chosen[node.outs[0]])


def schedule(program: Program, memory: str) -> Plan:
    """Cut every function: "smallest", as small as leaves it nearly as fast; "balanced", the fastest of about that size."""
    functions = [Segments(f) for f in program.functions]

    def best(budget: int) -> tuple[float, tuple[tuple[Segment, ...], ...]]:
        found = [s.best(budget) for s in functions]
        return sum(c for c, _ in found), tuple(tuple(cut) for _, cut in found)

    most = max((s.fixed + w[0] for f in functions for e in f.by_stop for s in e[:1] for w in s.ways[0]), default=0)
    fastest = sum(min(c.cost for c in call.candidates if not c.refused) for f in program.functions for call in f.calls)

    def least(slower: float) -> int:
        low, high = 0, most
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if best(middle)[0] <= slower * fastest else (middle + 1, high)
        return low

    budget = least(SLOWER["smallest"])
    if memory == "balanced":
        budget = max(int(budget * LARGER), least(SLOWER["balanced"]))
    return Plan(best(budget)[1], budget)


def cascade(program: Program, ordered: Program, plan: Plan) -> Program:
    """Mark what runs row by row in a program that has the plan's kernels, in the order that the plan was made for."""

    def marked(function: Function, like: Function, segments: tuple[Segment, ...]) -> Function:
        found = {c.node.outs[0]: c for c in function.calls}
        cascades = (Cascade(s.first, s.stop, s.pulled.order, s.pulled.rings, s.pulled.homes) for s in segments if s.pulled)
        return replace(function, calls=tuple(found[c.node.outs[0]] for c in like.calls), cascades=tuple(cascades))

    return replace(program, functions=tuple(map(marked, program.functions, ordered.functions, plan.segments)))
