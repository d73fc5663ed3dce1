"""Offsets for buffers whose lives are known: first fit in several orders, then improvement. Floor 4."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

Pairs: TypeAlias = tuple[tuple[int, int], ...]

BUDGET = 3_000_000  # pairs of buffers that the search may look at
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


def arrange(buffers: Sequence[Buffer], reuse: Pairs, target: int) -> Layout:
    """Place the buffers; stop when their end is `target`, a lower bound. A pair (x, y) of `reuse` may share bytes."""
    ids = range(len(buffers))
    shared = _all(reuse)
    sequences = (sorted(ids, key=lambda i: key(buffers[i])) for key in _KEYS)
    best = min((_first_fit(buffers, s, shared) for s in sequences), key=lambda found: found.end)
    now, random = best, Random(0)
    for _ in range(min(TRIES, BUDGET // (len(buffers) ** 2 + 1))):
        if best.end <= target:
            break
        found = _first_fit(buffers, *_changed(buffers, reuse, now, random))
        if found.end <= now.end or random.random() < 0.02:
            now = found
        best = min(best, found, key=lambda f: f.end)
    return best


def _all(reuse: Pairs) -> Pairs:
    """As many pairs as can share at once: each buffer gives its bytes on once, and takes them over once."""
    found: list[tuple[int, int]] = []
    for x, y in reuse:
        if all(x != a and y != b for a, b in found):
            found.append((x, y))
    return tuple(found)


def _changed(buffers: Sequence[Buffer], reuse: Pairs, now: Layout, random: Random) -> tuple[list[int], Pairs]:
    """Move a buffer at the very end before, or swap it with, one that it meets; or share another pair."""
    sequence = list(now.sequence)
    if reuse and random.random() < 0.2:
        pair = random.choice(reuse)
        others = tuple(p for p in now.shared if p[0] != pair[0] and p[1] != pair[1])
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


def _first_fit(buffers: Sequence[Buffer], sequence: Sequence[int], shared: Pairs) -> Layout:
    """Each in turn at the lowest offset where it meets nobody; buffers that share are one."""
    group = {i: [i] for i in range(len(buffers))}
    for x, y in shared:
        group[x] += group[y]
        group |= dict.fromkeys(group[x], group[x])
    offsets = [-1] * len(buffers)
    placed: list[tuple[Buffer, int]] = []
    for i in sequence:
        if offsets[i] >= 0:
            continue
        lives = [buffers[j] for j in group[i]]
        whole = Buffer(buffers[i].size, min(b.first for b in lives), max(b.last for b in lives))
        offset = 0
        for start, end in sorted((o, o + b.size) for b, o in placed if b.meets(whole)):
            if offset + whole.size <= start:
                break
            offset = max(offset, end)
        placed.append((whole, offset))
        for j in group[i]:
            offsets[j] = offset
    return Layout(tuple(offsets), max((o + b.size for b, o in placed), default=0), tuple(sequence), shared)
