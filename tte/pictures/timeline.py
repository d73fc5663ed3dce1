"""The arena over time: calls from left to right, bytes from bottom to top, a box for each tensor. Floor 3."""

from __future__ import annotations

from collections.abc import Iterator

from tte.peak import blocks, describe, explain, peak
from tte.pictures.picture import HATCHED, NORMAL, SMALL, WIDTH, Box, Line, Picture, Shape, Text, free, rounded, ticks
from tte.record import Place, Record, Work

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 72.0, 12.0, 66.0, 44.0, 560.0
LEFTS = 4  # places that are tried for a label, from left to right
KINDS = ("input", "output", "activation", "ring", "scratch", "state")


def timeline(record: Record, work: Work) -> Picture:
    """The picture of one function; the states, which it shares with others, are in it."""
    found = _Layout(record, work)
    shapes = (*found.ground(), *found.boxes, *found.shared(), *found.limits(), *found.labels(), *found.legend())
    return Picture(HEIGHT, explain(record, work), rounded(shapes))


class _Layout:
    """Where things are."""

    def __init__(self, record: Record, work: Work) -> None:
        self.record, self.work = record, work
        self.column = (WIDTH - LEFT - RIGHT) / (len(work.layers) + 2)  # a column before the calls, one after
        self.places = sorted((*record.states, *work.places), key=lambda p: (p.first, -p.bytes))
        self.boxes = [self.box(p) for p in self.places]
        self.met: list[list[Box]] = [[] for _ in self.boxes]  # by box, what it has in common with others
        for i, a in enumerate(self.boxes):
            for k in range(i + 1, len(self.boxes)):
                if self.boxes[k].x >= a.x + a.w:
                    break  # they are sorted by their left sides
                if common := a.meets(self.boxes[k]):
                    self.met[i].append(common)
                    self.met[k].append(common)

    def x(self, call: int) -> float:
        """The left side of a call."""
        return LEFT + (min(max(call, -1), len(self.work.layers) + 1) + 1) * self.column

    def y(self, address: float) -> float:
        """Its height."""
        return HEIGHT - BOTTOM - address / max(self.record.arena_bytes, 1) * (HEIGHT - TOP - BOTTOM)

    def box(self, p: Place) -> Box:
        """The box of a tensor."""
        when = "before the first call" if p.last < 0 else f"calls {max(p.first, 0)} to {p.last}"
        title = f"{describe(p)}, {p.kind}\n{p.type}\n{p.bytes:,} B from {p.offset:,}, alive: {when}"
        return Box(self.x(p.first), self.y(p.end), self.x(p.last + 1) - self.x(p.first), self.high(p), p.kind, title)

    def high(self, p: Place) -> float:
        """The height of its box."""
        return self.y(p.offset) - self.y(p.end)

    def ground(self) -> Iterator[Shape]:
        """The peak's columns, and the axes."""
        found = peak(self.record, self.work)
        left, right = self.x(found.first), self.x(found.last + 1)
        yield Box(left, TOP - 6, right - left, HEIGHT - TOP - BOTTOM + 6, "peak")
        text = f"peak, {found.bytes:,} B in use"
        half = Text(0, 0, text).box.w / 2
        middle = min(max((left + right) / 2, LEFT + half), WIDTH - RIGHT - half)
        yield Text(middle, TOP - 30, text, "limit", anchor="middle")
        for at in ticks(0, self.record.arena_bytes, 8):
            yield Line(LEFT, self.y(at), WIDTH - RIGHT, self.y(at), "grid")
            yield Text(LEFT - 6, self.y(at), f"{at:,.0f}", "pale", SMALL, "end")
        yield Text(LEFT - 6, TOP - 14, "bytes", "pale", SMALL, "end")
        yield from self.calls()

    def calls(self) -> Iterator[Shape]:
        """Numbers of calls below, and a bracket below those that run row by row."""
        low, n = HEIGHT - BOTTOM, len(self.work.layers)
        every = next((k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500) if k * self.column >= 22), 1000)
        for call in range(0, n, every):
            yield Text(self.x(call) + self.column / 2, low + 9, str(call), "pale", SMALL, "middle")
        if self.column >= 22:
            yield Text(self.x(-1) + self.column / 2, low + 9, "in", "pale", SMALL, "middle")
            yield Text(self.x(n) + self.column / 2, low + 9, "out", "pale", SMALL, "middle")
        yield Text(LEFT - 6, low + 9, "call", "pale", SMALL, "end")
        for first, last in (b for b in blocks(self.work) if b in self.work.cascades):
            left, right = self.x(first) + 2, self.x(last + 1) - 2
            yield Line(left, low + 20, right, low + 20, "ink")
            yield Line(left, low + 16, left, low + 20, "ink")
            yield Line(right, low + 16, right, low + 20, "ink")
            texts = [Text((left + right) / 2, low + 31, t, "ink", SMALL, "middle") for t in ("row by row", "rows")]
            yield from [t for t in texts if t.box.w <= right - left + self.column][:1]

    def shared(self) -> list[Box]:
        """What two tensors have in turn: one takes the place of the other, row by row or in place."""
        return list(dict.fromkeys(b for met in self.met for b in met))

    def limits(self) -> Iterator[Shape]:
        """The sides of the peak, the arena's end and the lower bound."""
        r, found = self.record, peak(self.record, self.work)
        for x in (self.x(found.first), self.x(found.last + 1)):
            yield Line(x, TOP - 6, x, HEIGHT - BOTTOM, "limit")
        for n, name in ((r.arena_bytes, "arena"), (r.bound_bytes, "lower bound")):
            if n != r.arena_bytes or name == "arena":
                yield Line(LEFT, self.y(n), WIDTH - RIGHT, self.y(n), "limit", dashed=name != "arena")
        what = f"arena {r.arena_bytes:,} B, lower bound {r.bound_bytes:,} B, gap {r.gap_bytes:,} B"
        what += ": proved optimal" if r.gap_bytes == 0 else " (dashed: the bound)"
        yield Text(WIDTH - RIGHT, TOP - 14, what, "limit", anchor="end")

    def labels(self) -> list[Text]:
        """A name in each box that has room; where some are the same place, the largest's and how many more."""
        spots: dict[tuple[int, int, int], list[int]] = {}
        for i, p in enumerate(self.places):
            spots.setdefault((p.offset, p.first, p.last), []).append(i)
        groups = sorted(spots.values(), key=lambda g: -self.boxes[g[0]].w * self.boxes[g[0]].h)
        taken: list[Box] = []
        return [t for first, *more in groups for t in free(self.options(first, len(more)), taken)]

    def options(self, i: int, more: int) -> Iterator[Text]:
        """Ways to name a box, best first: where it is alone, else anywhere in it."""
        p, box = self.places[i], self.boxes[i]
        if min(box.w, box.h) < SMALL:
            return
        others = f" and {more} more" if more else ""
        names = [f"{describe(p)}{others}, {p.bytes:,} B", f"{describe(p)}{others}", p.value, f"{p.bytes:,} B"]
        met = [m for m in self.met[i] if (m.w, m.h) != (box.w, box.h)]
        lefts = sorted({box.x, *(m.x + m.w for m in met if m.x + m.w < box.x + box.w - 1)})[:LEFTS]
        heights = [box.y + box.h * part for part in (0.5, 0.25, 0.75, 0.1, 0.9)]
        for alone in (True, False):
            for name in names:
                long = Text(0, 0, name, size=SMALL).box.w
                spots = [(x, y) for x in lefts for y in heights]
                texts = [Text(x + 4, y, name, "letter", SMALL) for x, y in spots if long < box.w]
                texts += [Text(x + 9, y, name, "letter", SMALL, "middle", True) for x, y in spots if long < box.h]
                inside = (t for t in texts if box.holds(t.box))
                yield from (t for t in inside if not (alone and any(t.box.meets(m) for m in met)))

    def legend(self) -> Iterator[Shape]:
        """The colours that occur."""
        x = LEFT
        kinds = [k for k in KINDS if any(p.kind == k for p in self.places)]
        for kind in [*kinds, *([HATCHED] if self.shared() else [])]:
            text = "in turn by several" if kind == HATCHED else kind
            if kind == HATCHED:
                yield Box(x, 10, 14, 14, "activation")
            yield Box(x, 10, 14, 14, kind)
            yield Text(x + 20, 17, text, size=NORMAL)
            x += 20 + Text(0, 0, text).box.w + 18
