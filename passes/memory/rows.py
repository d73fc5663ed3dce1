"""Which rows a call reads and writes, and in which order a chain of calls makes them. Floor 4."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from types import MappingProxyType
from typing import TypeAlias

from tte.op import Kernel, Values
from tte.program import Call
from tte.types import TensorType, Value

BY_ROWS = frozenset({"window", "flat", "accumulate", "arrival"})
NEVER = 1 << 30  # a row that does not exist


def rows(t: TensorType) -> int:
    """Rows of a map, 0 where it is none; rows of bits may begin within a byte, so such a map has none."""
    return t.shape[1] if len(t.shape) == 4 and t.shape[0] == 1 and t.size and t.dtype.bits >= 8 else 0


@dataclass(frozen=True)
class Access:
    """What the steps of a call touch: by input, the rows first <= row < end of each step; rows written up to a step.

    `inplace` are the inputs whose rows the rows of the result may replace.
    """

    ins: Values
    out: Value
    reads: tuple[tuple[tuple[int, int], ...], ...]
    written: tuple[int, ...]
    inplace: Values = ()

    @property
    def steps(self) -> int:
        """Number of its steps."""
        return len(self.written)

    def mirrored(self) -> Access:
        """The same from the last row to the first, rows being counted from the end."""
        heights = [rows(v.type) for v in self.ins]
        reads = (tuple((h - b, h - a) for a, b in reversed(s)) for s, h in zip(self.reads, heights, strict=True))
        return replace(self, reads=tuple(reads))

    @property
    def row(self) -> int:
        """Bytes of a row of its result."""
        return self.out.type.bytes // self.written[-1]

    @cached_property
    def first(self) -> tuple[tuple[int, ...], ...]:
        """By input and step: the first row that this step or a later one reads; after the last step none."""
        return tuple(tuple(accumulate([NEVER, *(lo for lo, _ in reversed(spans))], min))[::-1] for spans in self.reads)

    def needs(self, value: Value, step: int) -> int:
        """The first row of `value` that `step` or a later one reads."""
        return min((f[step] for f, v in zip(self.first, self.ins, strict=True) if v == value), default=NEVER)


def kernels(call: Call) -> tuple[Kernel, ...]:
    """Those that can compute the call row by row: all of them in the same steps."""
    fitting = [c.kernel for c in call.candidates if not c.refused and c.kernel.form in BY_ROWS]
    summing = tuple(k for k in fitting if k.form == "accumulate")
    return summing or tuple(fitting)


def access(call: Call) -> Access | None:
    """How a call goes by rows; None where it does not."""
    ins, outs = call.node.types
    found = kernels(call)
    if call.kernel.form == "arrival":
        return Access((), call.outs[0], (), tuple(range(1, rows(call.outs[0].type) + 1)))
    whole = zip((ins[i] for i in call.at), call.ins, strict=True)
    if not found or len(outs) != 1 or not call.ins or not all(_maps(t, v.type) for t, v in whole):
        return None
    h, oh = rows(ins[0]), rows(outs[0])
    spans: tuple[tuple[int, int], ...]
    if found[0].form == "accumulate":
        return Access(call.ins, call.outs[0], (tuple((r, r + 1) for r in range(h)),), (0,) * (h - 1) + (1,))
    if all(k.form == "flat" for k in found):
        if any(rows(ins[i]) != oh for i in call.at):
            return None
        spans = tuple((r, r + 1) for r in range(oh))
    elif call.at == (0,):
        w = call.node.op.window(ins, outs)
        tops = [r * w.stride - w.pad for r in range(oh)]
        inside = ([k for k in range(t, t + w.size * w.dilation, w.dilation) if 0 <= k < h] for t in tops)
        spans = tuple((k[0], k[-1] + 1) if k else (0, 0) for k in inside)
    else:
        return None
    same = tuple(v for v in dict.fromkeys(call.ins) if all((v, call.outs[0]) in call.inplace(k) for k in found))
    return Access(call.ins, call.outs[0], (spans,) * len(call.ins), tuple(range(1, oh + 1)), same) if oh else None


def _maps(a: TensorType, b: TensorType) -> bool:
    """True if both are maps with the same rows."""
    return rows(a) > 0 and rows(a) == rows(b) and a.bytes == b.bytes


@dataclass(frozen=True, slots=True)
class Pulled:
    """Calls made row by row: whose step comes when, the rows that each inner value must keep, and (x, y, distance):

    result y may lie over x, which dies here, if x begins at least `distance` bytes behind y. Values that have a home
    lie where that one does: its rows replace theirs.
    """

    order: tuple[int, ...]
    rings: dict[Value, int]
    homes: dict[Value, Value]
    over: tuple[tuple[Value, Value, int], ...]


def pull(calls: Sequence[Access], outs: Sequence[Value]) -> Pulled:
    """Make `outs` row by row, each row as late as it can be: a step first asks for the rows that it reads.

    Several results advance together, each in proportion to its rows.
    """
    maker = {a.out: k for k, a in enumerate(calls)}
    done = [0] * len(calls)
    order: list[int] = []

    def made(k: int) -> int:
        return calls[k].written[done[k] - 1] if done[k] else 0

    def step(k: int) -> None:
        a, s = calls[k], done[k]
        for v, spans in zip(a.ins, a.reads, strict=True):
            if v in maker:
                while made(maker[v]) < spans[s][1]:
                    step(maker[v])
        order.append(k)
        done[k] += 1

    for k, a in enumerate(calls):
        if not a.ins:
            step(k)  # nothing runs before the first row has arrived
    wanted = sorted(((s + 1) / calls[k].steps, -k, s) for k in (maker[v] for v in outs) for s in range(calls[k].steps))
    for _, k, s in wanted:
        while done[-k] <= s:
            step(-k)
    for k in range(len(calls)):
        while done[k] < calls[k].steps:
            step(k)
    homes = _homes(calls, replayed(calls, order)[0], set(outs))
    kept, over = replayed(calls, order, homes)
    whole = {v: rows(v.type) for v in outs}
    rings = {v: whole.get(homes.get(v, v), n) for v, n in kept.items() if v not in whole}
    return Pulled(tuple(order), rings, homes, over)


@dataclass(slots=True)
class Pulls:
    """Remembers what `pull` found: chains of one form, over other values, are simulated once. `looked` counts steps."""

    known: dict[object, tuple[Values, Pulled]] = field(default_factory=dict)
    kinds: dict[object, int] = field(default_factory=dict)
    looked: int = 0

    def kind(self, a: Access) -> int:
        """A number for what a call does to rows, whatever its operands are called."""
        types = tuple((v.type.shape, v.type.dtype) for v in (*a.ins, a.out))
        return self.kinds.setdefault((types, a.reads, a.written), len(self.kinds))

    def pull(self, calls: Sequence[Access], kinds: Sequence[int], outs: Sequence[Value]) -> Pulled:
        """As `pull`, for calls of these kinds."""
        values = tuple(dict.fromkeys(v for a in calls for v in (*a.ins, a.out)))
        at = {v: i for i, v in enumerate(values)}
        operands = tuple((*(at[v] for v in a.ins), -1, at[a.out], *(at[v] for v in a.inplace)) for a in calls)
        key = (tuple(kinds), operands, tuple(at[v] for v in outs))
        if key not in self.known:
            self.known[key] = values, pull(calls, outs)
            self.looked += len(self.known[key][1].order)
        before, found = self.known[key]
        now = dict(zip(before, values, strict=True))
        return Pulled(
            found.order,
            {now[v]: n for v, n in found.rings.items()},
            {now[v]: now[w] for v, w in found.homes.items()},
            tuple((now[x], now[y], d) for x, y, d in found.over),
        )


def _homes(calls: Sequence[Access], kept: dict[Value, int], outs: set[Value]) -> dict[Value, Value]:
    """For each call the input that its result replaces: one that nobody else reads, with the fewest rows."""
    readers = Counter(v for a in calls for v in set(a.ins))
    homes: dict[Value, Value] = {}
    for a in reversed(calls):
        free = [v for v in a.inplace if v in kept and v not in outs and readers[v] == 1]
        if free:
            homes[min(free, key=lambda v: kept[v])] = homes.get(a.out, a.out)
    return homes


Over: TypeAlias = tuple[tuple[Value, Value, int], ...]


def replayed(
    calls: Sequence[Access], order: Sequence[int], homes: Mapping[Value, Value] = MappingProxyType({})
) -> tuple[dict[Value, int], Over]:
    """The rows of each result that must be kept while its readers here need them, and how it may lie over an input."""
    readers: dict[Value, list[int]] = {}
    for k, a in enumerate(calls):
        for v in dict.fromkeys(a.ins):
            readers.setdefault(v, []).append(k)
    made = {a.out: 1 for a in calls}
    given = [v for v in readers if v not in made]
    tenants = {v: [v, *(x for x, y in homes.items() if y == v)] for v in made}
    over: dict[tuple[Value, Value], int] = {}
    done = [0] * len(calls)

    def needed(v: Value) -> int:
        return min((calls[c].needs(v, done[c]) for c in readers.get(v, [])), default=NEVER)

    for k in order:
        a = calls[k]
        before, now = (a.written[done[k] - 1] if done[k] else 0), a.written[done[k]]
        if now > before:
            home = homes.get(a.out, a.out)
            made[home] = max(made[home], now - min(map(needed, tenants[home])))
            for x in given:
                first = needed(x)
                apart = now * a.row - first * (x.type.bytes // rows(x.type)) if first < NEVER else -x.type.bytes
                over[x, home] = max(over.get((x, home), -x.type.bytes), apart)
        done[k] += 1
    return {v: made[homes.get(v, v)] for v in made}, tuple((x, y, d) for (x, y), d in over.items())


def shared(call: Call) -> Iterator[tuple[Value, Value, int]]:
    """How many bytes of an input the result can take over, (x, y, bytes), if the call is made row by row."""
    a = access(call)
    for x, y, distance in replayed([a], [0] * a.steps)[1] if a else ():
        yield x, y, x.type.bytes + y.type.bytes - together(x.type.bytes, y.type.bytes, distance)


def together(x: int, y: int, distance: int) -> int:
    """Bytes that hold two values of these sizes, where x begins at least `distance` behind y; or both, apart."""
    return min(x + y, max(y, max(0, distance) + x))
