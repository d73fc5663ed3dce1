"""Offsets for buffers whose lives are known: first fit in several orders, then improvement. Floor 3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

BUDGET = 15_000_000  # buffers, and pairs of those that meet, that the search may look at
TRIES = 3_000  # and orders that it may try


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes that are alive from `first` to `last`, both included."""

    size: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """True if both are alive at some time."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Pair:
    """Buffers x and y that may share bytes though both are alive at the time when y comes and x goes.

    Without `distance`, y may be x; with it, y may lie over x if x begins at least so many bytes behind it, or if it is
    `backward` and y ends at least so many bytes behind x.
    """

    x: int
    y: int
    distance: int | None = None
    backward: bool = False

    def span(self, buffers: Sequence[Buffer]) -> int:
        """The fewest bytes that hold both."""
        x, y = buffers[self.x].size, buffers[self.y].size
        if self.distance is None:
            return max(x, y)
        return max(y, max(0, self.distance) + x)


Pairs: TypeAlias = tuple[Pair, ...]
Near: TypeAlias = list[list[tuple[int, int, int]]]


@dataclass(frozen=True, slots=True)
class Layout:
    """An offset per buffer, the end of the last, and what led there: the sequence of placing, the pairs that share."""

    offsets: tuple[int, ...]
    end: int
    sequence: tuple[int, ...]
    shared: Pairs


_KEYS: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
    lambda b: (-b.size, b.first),
    lambda b: (b.first, -b.size),
    lambda b: (b.first - b.last, -b.size),
    lambda b: (b.size * (b.first - b.last - 1),),
)


def arrange(buffers: Sequence[Buffer], pairs: Pairs = ()) -> Layout:
    """Place the buffers; stop when their end is the lower bound."""
    ids, target = range(len(buffers)), bound(buffers, pairs)
    reuse = tuple(p for p in pairs if p.distance is None)
    near = _near(buffers, pairs)
    shared = _all(reuse)
    sequences = (sorted(ids, key=lambda i: key(buffers[i])) for key in _KEYS)
    best = min((_first_fit(buffers, s, shared, near) for s in sequences), key=lambda found: found.end)
    now, random = best, Random(0)
    for _ in range(min(TRIES, BUDGET // (1 + sum(len(n) + 1 for n in near)))):
        if best.end <= target:
            break
        found = _first_fit(buffers, *_changed(buffers, reuse, now, random), near)
        if found.end <= now.end or random.random() < 0.02:
            now = found
        best = min(best, found, key=lambda f: f.end)
    return best


def bound(buffers: Sequence[Buffer], pairs: Pairs) -> int:
    """Bytes that any places need: at each time all that is alive, less what pairs can share."""
    most = 0
    for time in {b.first for b in buffers}:
        alive = {i for i, b in enumerate(buffers) if b.first <= time <= b.last}
        found = [(p, buffers[p.x].size + buffers[p.y].size - p.span(buffers)) for p in pairs]
        savings = tuple((p, size) for p, size in found if p.x in alive and p.y in alive and size > 0)
        most = max(most, sum(buffers[i].size for i in alive) - _saved(savings))
    return most


def _saved(savings: tuple[tuple[Pair, int], ...]) -> int:
    """No fewer bytes than can be shared. What is one with another buffer is one with no third."""
    if not savings:
        return 0
    (pair, size), rest = savings[0], savings[1:]
    free = rest
    if pair.distance is None:
        free = tuple((p, s) for p, s in rest if p.distance is not None or (p.x != pair.x and p.y != pair.y))
    with_it = size + _saved(free)
    return with_it if free == rest else max(with_it, _saved(rest))


def _all(reuse: Pairs) -> Pairs:
    """As many pairs as can share at once: each buffer gives its bytes on once, and takes them over once."""
    found: list[Pair] = []
    for p in reuse:
        if all(p.x != q.x and p.y != q.y for q in found):
            found.append(p)
    return tuple(found)


def _changed(buffers: Sequence[Buffer], reuse: Pairs, now: Layout, random: Random) -> tuple[list[int], Pairs]:
    """Move a buffer at the very end before, or swap it with, one that it meets; or share another pair."""
    sequence = list(now.sequence)
    if reuse and random.random() < 0.2:
        pair = random.choice(reuse)
        others = tuple(p for p in now.shared if p.x != pair.x and p.y != pair.y)
        return sequence, others if pair in now.shared else (*others, pair)
    top = [i for i, b in enumerate(buffers) if now.offsets[i] + b.size == now.end]
    i = random.choice(top)
    j = random.choice([j for j, b in enumerate(buffers) if b.meets(buffers[i])])
    a, b = sequence.index(i), sequence.index(j)
    if random.random() < 0.5:
        sequence[a], sequence[b] = j, i
    else:
        sequence.insert(b, sequence.pop(a))
    return sequence, now.shared


def _first_fit(buffers: Sequence[Buffer], sequence: Sequence[int], shared: Pairs, near: Near) -> Layout:
    """Each in turn at the lowest offset where it disturbs nobody; buffers that are one lie at one offset."""
    group = {i: [i] for i in range(len(buffers))}
    for p in shared:
        group[p.x] += group[p.y]
        group |= dict.fromkeys(group[p.x], group[p.x])
    offsets = [-1] * len(buffers)
    end = 0
    for i in sequence:
        if offsets[i] >= 0:
            continue
        taken = [(at + a, at + b) for j in group[i] for k, a, b in near[j] if (at := offsets[k]) >= 0]
        offset = 0
        for start, stop in sorted(taken):
            if offset <= start:
                break
            offset = max(offset, stop)
        for j in group[i]:
            offsets[j] = offset
            end = max(end, offset + buffers[j].size)
    return Layout(tuple(offsets), end, tuple(sequence), shared)


def _near(buffers: Sequence[Buffer], pairs: Pairs) -> Near:
    """By buffer: each other (k, a, b) that it meets; behind a and before b, from where that one lies, it may not be."""
    over = {(p.x, p.y): p for p in pairs if p.distance is not None}
    found: Near = [[] for _ in buffers]
    for i, buffer in enumerate(buffers):
        for k, other in enumerate(buffers):
            if i == k or not buffer.meets(other):
                continue
            low, high = -buffer.size, other.size
            if pair := over.get((k, i), over.get((i, k))):
                x, y = buffers[pair.x].size, buffers[pair.y].size
                apart = (pair.distance or 0) + (x - y if pair.backward else 0)
                if (pair.x == k) != pair.backward:
                    low = max(low, -apart)
                else:
                    high = min(high, apart)
            if low < high:
                found[i].append((k, low, high))
    return found
