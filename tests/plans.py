"""Random programs for the planner's tests, and what is best for small ones by trying everything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, permutations

from hypothesis import strategies as st

from tte.checker.replay import check_plan
from tte.ir import Node
from tte.op import Kernel
from tte.ops.add import Add
from tte.passes.memory.order import order
from tte.passes.memory.plan import plan_memory
from tte.program import Call, Function, MemoryPlan, Program
from tte.types import DType, TensorType, Value


def value(name: str, size: int) -> Value:
    return Value(name, TensorType((size,), DType.S8), f"model/{name}")


def call(
    ins: tuple[Value, ...], outs: tuple[Value, ...], inplace: tuple[tuple[int, int], ...] = (), scratch: int = 0
) -> Call:
    """A call that only a planner understands; the op says nothing."""
    kernel = Kernel("k", "k.h", (), (), inplace=inplace)
    extra = value(f"{outs[0].name}_scratch", scratch) if scratch else None
    return Call(Node(Add(), ins, outs), kernel, {}, ins, tuple(range(len(ins))), outs, {}, extra, ())


def program(*functions: Function) -> Program:
    return Program("p", (), functions)


def function(ins: tuple[Value, ...], outs: tuple[Value, ...], *calls: Call) -> Function:
    return Function("infer", ins, outs, calls, ())


@st.composite
def programs(draw: st.DrawFn, most: int = 12, sizes: tuple[int, ...] = (8, 16, 24, 40, 64, 13)) -> Program:
    """Branches, residuals, repeated inputs, several results, dead ones, scratch, in-place kernels, `caller`."""
    values = [value(f"x{i}", draw(st.sampled_from(sizes))) for i in range(draw(st.integers(1, 2)))]
    given, calls = tuple(values), list[Call]()
    for i in range(draw(st.integers(1, most))):
        ins = tuple(draw(st.lists(st.sampled_from(values), min_size=0 if i else 1, max_size=3)))
        size = st.sampled_from([v.type.bytes for v in ins]) if ins and draw(st.booleans()) else st.sampled_from(sizes)
        outs = tuple(value(f"v{i}_{o}", draw(size)) for o in range(draw(st.sampled_from((1, 1, 1, 2)))))
        pairs = [(a, b) for a in range(len(ins)) for b in range(len(outs))]
        inplace = tuple(draw(st.lists(st.sampled_from(pairs), unique=True))) if pairs else ()
        calls.append(call(ins, outs, inplace, draw(st.sampled_from((0, 0, 8, 30)))))
        values += outs
    made = values[len(given) :]
    outs = draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique=True))
    return program(replace(function(given, tuple(outs), *calls), caller=draw(st.sampled_from((False, False, True)))))


def planned(p: Program) -> tuple[Program, MemoryPlan]:
    """In the planner's order, with its plan, which must be right."""
    ordered = order(p)
    plan = plan_memory(ordered)
    check_plan(ordered, plan)
    return ordered, plan


def orders(f: Function) -> Iterator[tuple[Call, ...]]:
    """All topological orders."""
    made = {v for c in f.calls for v in c.outs}

    def extend(done: tuple[Call, ...]) -> Iterator[tuple[Call, ...]]:
        there = {v for c in done for v in c.outs}
        if len(done) == len(f.calls):
            yield done
        for c in f.calls:
            if c not in done and all(v in there or v not in made for v in c.ins):
                yield from extend((*done, c))

    return extend(())


def lives(f: Function) -> dict[Value, tuple[int, int]]:
    """First and last call of what lies in the arena."""
    found = {} if f.caller else dict.fromkeys(f.ins, (-1, -1))
    outside = {*f.ins, *f.outs} if f.caller else set()
    for i, c in enumerate(f.calls):
        for v in (*c.ins, *c.outs, *([c.scratch] if c.scratch else [])):
            if v not in outside:
                found[v] = found.get(v, (i, i))[0], i
    return found | {v: (found[v][0], len(f.calls)) for v in f.outs if v in found}


def sharings(f: Function) -> Iterator[dict[Value, Value]]:
    """All ways to put results on inputs that die at their call: result -> input."""
    life, pairs = lives(f), []
    for i, c in enumerate(f.calls):
        for o, y in enumerate(c.outs):
            for x in {*c.ins} & life.keys():
                allowed = all((p, o) in c.kernel.inplace for p, v in enumerate(c.ins) if v == x)
                if allowed and y in life and life[x][1] == i and x.type.bytes == y.type.bytes:
                    pairs.append((x, y))
    for n in range(len(pairs) + 1):
        for some in combinations(pairs, n):
            if len({x for x, _ in some}) == len({y for _, y in some}) == n:
                yield {y: x for x, y in some}


def blocks(f: Function, sharing: dict[Value, Value]) -> list[tuple[int, int, int]]:
    """Size, first and last of each chain of values that share their bytes."""
    found: dict[Value, list[int]] = {}
    root: dict[Value, Value] = {}
    for v, (first, last) in sorted(lives(f).items(), key=lambda e: e[1][0]):
        root[v] = root[sharing[v]] if v in sharing else v
        size, a, b = found.get(root[v], (-(-v.type.bytes // 8) * 8, first, last))
        found[root[v]] = [size, min(a, first), max(b, last)]
    return [(a, b, c) for a, b, c in found.values()]


def most_alive(f: Function) -> int:
    """The least, over all sharings, of the most bytes that live at one call."""
    steps = range(-1, len(f.calls) + 1)
    return min(max(sum(s for s, a, b in blocks(f, w) if a <= t <= b) for t in steps) for w in sharings(f))


def can_place(f: Function, limit: int) -> bool:
    """True if some offsets need at most `limit` bytes; lowest fit in every order finds them."""
    return any(lowest(order) <= limit for w in sharings(f) for order in permutations(blocks(f, w)))


def lowest(order: tuple[tuple[int, int, int], ...]) -> int:
    placed: list[tuple[int, int, int, int]] = []
    for size, first, last in order:
        met = sorted((o, o + s) for o, s, a, b in placed if a <= last and first <= b)
        offset = 0
        for low, high in met:
            if offset + size > low:
                offset = max(offset, high)
        placed.append((offset, size, first, last))
    return max((o + s for o, s, _, _ in placed), default=0)
