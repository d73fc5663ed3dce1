"""Where a function needs most of the arena, and what lives there. Floor 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tte.record import Place, Record, Work

NAMED = 4  # tensors in a sentence


@dataclass(frozen=True, slots=True)
class Peak:
    """Calls `first` to `last`, and what lives there, largest first; -1 is before all calls, their number after them.

    `bytes` of the arena are in use: those that several tensors have in turn count once.
    """

    first: int
    last: int
    bytes: int
    living: tuple[Place, ...]


def blocks(work: Work) -> Iterator[tuple[int, int]]:
    """The first and last call of each step of a plan: a call, or a cascade; both ends of the function are steps too."""
    ends, at = dict(work.cascades), -1
    while at <= len(work.layers):
        yield at, ends.get(at, at)
        at = ends.get(at, at) + 1


def peak(record: Record, work: Work) -> Peak:
    """The first of the steps that use most bytes."""
    return max((_at(record, work, *block) for block in blocks(work)), key=lambda p: p.bytes)


def _at(record: Record, work: Work, first: int, last: int) -> Peak:
    living = [p for p in (*record.states, *work.places) if p.first <= last and first <= p.last]
    used = top = 0
    for p in sorted(living, key=lambda p: p.offset):
        used += max(0, p.end - max(top, p.offset))
        top = max(top, p.end)
    return Peak(first, last, used, tuple(sorted(living, key=lambda p: -p.bytes)))


def explain(record: Record, work: Work) -> str:
    """Where the peak is, what lives there, and how far it is from what is needed."""
    found = peak(record, work)
    named = [f"{describe(p)} {p.bytes:,} B" for p in found.living[:NAMED]]
    more = len(found.living) - len(named)
    listed = ", ".join([*named, f"{more} more"] if more else named) or "nothing"
    listed += ", some of them in turn in the same bytes" if sum(p.bytes for p in found.living) > found.bytes else ""
    of = f"{found.bytes:,} of the arena's {record.arena_bytes:,} B are in use"
    scope = "any order of them" if record.any_order else "this order of them"
    bound = f"These calls need at least {record.bound_bytes:,} B in {scope}, a gap of {record.gap_bytes:,} B"
    optimal = ": proved optimal" if record.gap_bytes == 0 else ""
    return f"Peak at {_where(work, found)}: {of}, by {listed}. {bound}{optimal}."


def describe(place: Place) -> str:
    """Its name, and what it is if that is no whole tensor."""
    rows = f" ({place.rows} row{'s' if place.rows > 1 else ''})" if place.rows else ""
    return place.value + rows


def _where(work: Work, found: Peak) -> str:
    if not 0 <= found.first < len(work.layers):
        return "the start, before any call" if found.first < 0 else "the end, after all calls"
    if found.first == found.last:
        return f"call {found.first}, {work.layers[found.first].op}"
    return f"calls {found.first} to {found.last}, which run row by row"
