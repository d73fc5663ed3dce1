"""Which calls run row by row through rings, and with which kernels: fewest instructions within a budget. Floor 5."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tte.errors import TteError, Unsupported
from tte.ir import Node
from tte.op import Kernel
from tte.passes.memory.flow import flow, span
from tte.passes.memory.rows import Access, Pulled, Pulls, access, kernels, pull, together
from tte.program import ALIGN, Call, Candidate, Cascade, Function, Program, padded
from tte.types import DType, TensorType, Value

LONGEST = (6, 80)  # calls in a cascade, first to learn what is too large, then in earnest
BUDGET = 150_000  # steps that the search may simulate; beyond, it tries short cascades only
STEP = 60.0  # modelled instructions of a step beside its kernel's
SLOWER = {"smallest": 1.15, "balanced": 1.04}  # instructions, as a share of the fastest layer by layer
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

    def __init__(self, function: Function, longest: int, limit: int, pulls: Pulls) -> None:
        """Cascades of up to `longest` calls that may help to stay within `limit` bytes."""
        self.calls, self.flow, self.limit, self.pulls = function.calls, flow(function), limit, pulls
        f = self.flow
        self.index = {v: x for x, v in enumerate(f.values)}
        self.life = [span(f, x) for x in range(len(f.values))]
        self.first = 1 if function.arrival else 0  # call 0 is then none by itself
        self.until = max(
            (i for i, c in enumerate(function.calls) if self.first and function.calls[0].outs[0] in c.ins), default=0
        )
        renewed = {new for _, new in function.updates}
        found = (None if renewed & {*c.outs} else access(c) for c in function.calls)
        # Results in the caller's buffers are no place for rows of others.
        self.access = [replace(a, inplace=()) if a and a.out not in self.index else a for a in found]
        self.kinds = [pulls.kind(a) if a else -1 for a in self.access]
        layers = [self.layer(i) for i in range(f.calls)]
        whole = [s.fixed for s, a in zip(layers, self.access, strict=True) if a is None]
        least = max(sum(f.sizes[x] for x in f.given), sum(f.sizes[x] for x in f.kept), *whole, 0)
        self.large = [s.fixed + s.ways[0][0][0] > least or s.first < self.first for s in layers]
        self.by_stop: list[list[Segment]] = [[s] for s in layers]
        for i in range(f.calls):
            for s in self.cascades(i, longest):
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

        fitting = [(scratch(c), NO if i < self.first else c.cost, c.kernel) for c in call.candidates if not c.refused]
        least = min(s for s, _, _ in fitting)
        ways = tuple(sorted(((s - least, c, k) for s, c, k in fitting), key=lambda w: w[1]))
        return Segment(i, i + 1, fixed + least, (ways,))

    def cascades(self, i: int, longest: int) -> Iterator[Segment]:
        """Cascades from call `i` on that may be of use: with a call that is too large as a whole in any plan."""
        before = self.alive(i)
        for j in range(i, min(i + longest, len(self.calls))):
            chain = self.access[i : j + 1]
            if chain[-1] is None:
                return
            if not any(self.large[i : j + 1]) or (i < self.first and j < self.until):
                continue
            found = self.cascade(i, j, before, [a for a in chain if a])
            if found is None or (self.pulls.looked > BUDGET and j - i >= LONGEST[0]):
                return
            if found.fixed <= self.limit:
                yield found

    def cascade(self, i: int, j: int, before: int, chain: list[Access]) -> Segment | None:
        """Calls i to j row by row; None if no longer cascade from i can be of use."""
        f = self.flow
        read = {v for a in chain for v in a.ins}
        outs = [a.out for a in chain if a.out not in self.index or a.out not in read or self.last(a.out) > j]
        pulled = self.pulls.pull(chain, self.kinds[i : j + 1], outs)
        rings = sum(
            padded(a.row * pulled.rings[a.out]) for a in chain if a.out in pulled.rings and a.out not in pulled.homes
        )
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
                tuple(
                    sorted(((padded(c.scratch) - kept, costs[c.kernel], c.kernel) for c in fitting), key=lambda w: w[1])
                )
            )
        return Segment(i, j + 1, before + whole + rings + sums - saved, tuple(ways), pulled)

    def last(self, v: Value) -> int:
        """The last call that reads it."""
        return self.life[self.index[v]][1]

    def unable(self) -> TteError:
        """Why the input cannot come row by row."""
        chain = zip(self.calls[: self.until + 1], self.access, strict=False)
        node = next((c.node for c, a in chain if a is None), self.calls[self.until].node)
        return Unsupported(str(node), "cannot go row by row with the input, as --io rows asks")

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
    cost: float  # modelled instructions

    def prefer(self, program: Program) -> Callable[[str, Node, tuple[Candidate, ...]], Candidate]:
        """The kernels that it takes, for `select`."""
        chosen: dict[tuple[str, Value], Kernel] = {}
        for function, segments in zip(program.functions, self.segments, strict=True):
            for s in segments:
                calls = function.calls[s.first : s.stop]
                kernels = zip(calls, s.kernels(self.budget), strict=True)
                chosen |= {(function.name, c.node.outs[0]): k for c, k in kernels if k.form != "channels"}

        def taken(graph: str, node: Node, candidates: tuple[Candidate, ...]) -> Candidate:
            """Of what may go into a loop the cheapest, so that the same loops are found again."""
            found = (c for c in candidates if c.kernel == chosen.get((graph, node.outs[0])))
            return next(found, min(candidates, key=lambda c: c.cost))

        return taken


def schedule(program: Program, memory: str) -> Plan:
    """Cut all functions: "smallest", small but nearly as fast; "balanced", the fastest of about that size; "fast"."""
    search, budgets = _searched(program)
    return search.plan({**budgets, "fast": search.most}[memory])


def schedules(program: Program, between: int) -> Iterator[tuple[str | None, Plan]]:
    """Those of `schedule` by name, and so many without one: budgets up to what the largest layer wants."""
    search, budgets = _searched(program)
    yield from ((name, search.plan(budget)) for name, budget in budgets.items())
    least = max(budgets["smallest"], 1)
    ratio = max(search.most / least, 1.0)
    yield from ((None, search.plan(round(least * ratio ** (k / between)))) for k in range(1, between + 1))


def _searched(program: Program) -> tuple[_Search, dict[str, int]]:
    """All ways to cut, and the budget for each choice; what short cascades come to is a limit for the long ones."""
    limit = sum(v.type.bytes + ALIGN for f in program.functions for c in f.calls for v in (*c.ins, *c.outs))
    pulls = Pulls()
    _, short = _budgets(program, LONGEST[0], limit, pulls)
    return _budgets(program, LONGEST[1], short["balanced"], pulls)


def _budgets(program: Program, longest: int, limit: int, pulls: Pulls) -> tuple[_Search, dict[str, int]]:
    """The same with cascades of up to `longest` calls that may help to stay within `limit` bytes."""
    search = _Search([Segments(f, longest, limit, pulls) for f in program.functions])
    fastest = search.best(search.most)[0]
    smallest, swift = (search.least(SLOWER[memory] * fastest) for memory in ("smallest", "balanced"))
    return search, {"smallest": smallest, "balanced": max(int(smallest * LARGER), swift)}


class _Search:
    """The cheapest cuts of several functions within one budget."""

    def __init__(self, functions: list[Segments]) -> None:
        self.functions = functions
        layers = (s for f in functions for ending in f.by_stop for s in ending[:1])
        self.most = max((s.fixed + s.ways[0][0][0] for s in layers), default=0)

    def best(self, budget: int) -> tuple[float, tuple[tuple[Segment, ...], ...]]:
        """Modelled instructions, and the cuts."""
        found = [f.best(budget) for f in self.functions]
        return sum(c for c, _ in found), tuple(tuple(cut) for _, cut in found)

    def plan(self, budget: int) -> Plan:
        """The least bytes for as few instructions as the budget allows."""
        enough = self.least(self.best(budget)[0])
        cost, cuts = self.best(enough)
        if cost == NO:
            raise next(f.unable() for f in self.functions if f.first)
        return Plan(cuts, enough, cost)

    def least(self, cost: float) -> int:
        """The least budget within which it costs no more than `cost`."""
        low, high = 0, self.most
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.best(middle)[0] <= cost < NO else (middle + 1, high)
        return low


def cascade(program: Program, ordered: Program, plan: Plan, turning: bool = False) -> Program:
    """Mark what runs row by row in a program that has the plan's kernels, in the order that the plan was made for.

    A result over its input begins before it. `turning`, what follows goes from the last row to the first, so that its
    results end behind their inputs: else a chain would wander through memory.
    """

    def marked(function: Function, like: Function, segments: tuple[Segment, ...]) -> Function:
        found = {c.node.outs[0]: c for c in function.calls}
        calls = tuple(found[c.node.outs[0]] for c in like.calls)
        cascades, lower = list[Cascade](), set[Value]()
        for s in segments:
            made = {v for c in calls[s.first : s.stop] for v in c.outs}
            read = {v for c in calls[s.first : s.stop] for v in c.ins}
            down = bool(read & lower)
            if s.pulled:
                turned = _turned(s, calls) if turning and down else None
                cascades.append(turned or Cascade(s.first, s.stop, s.pulled.order, s.pulled.rings, s.pulled.homes))
                down = turned is None
            lower |= made if down else set()
        position = None
        if function.arrival:
            counts = TensorType((cascades[0].stop + 1,), DType.S32)
            position = Value(f"{function.arrival.outs[0].name}_position", counts)
        return replace(function, calls=calls, cascades=tuple(cascades), position=position)

    return replace(program, functions=tuple(map(marked, program.functions, ordered.functions, plan.segments)))


def _turned(s: Segment, calls: tuple[Call, ...]) -> Cascade | None:
    """The cascade from the last row to the first, if that takes no larger rings."""
    chain = [a for a in map(access, calls[s.first : s.stop]) if a]
    if s.pulled is None or any(c.kernel.form == "accumulate" for c in calls[s.first : s.stop]):
        return None
    found = pull([a.mirrored() for a in chain], [a.out for a in chain if a.out not in s.pulled.rings])
    larger = any(n > s.pulled.rings[v] for v, n in found.rings.items()) or found.homes != s.pulled.homes
    return None if larger else Cascade(s.first, s.stop, found.order, found.rings, found.homes, backward=True)
