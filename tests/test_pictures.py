"""The report's pictures show the plan: a box for each slot, the peak where it is, equal bytes for equal plans."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from conftest import installed
from PIL import Image, ImageColor

from tte.codegen.page import page
from tte.codegen.tell import record
from tte.driver import Compiled, Options, compile_model
from tte.frontier import frontier
from tte.load import load_model
from tte.peak import explain, peak
from tte.pictures.picture import COLOURS, WIDTH, Box, Picture, Text
from tte.pictures.png import DPI, write_png
from tte.pictures.timeline import BOTTOM, HEIGHT, KINDS, LEFT, RIGHT, TOP, timeline
from tte.pictures.tradeoff import tradeoff
from tte.record import Kind, Layer, Place, Point, Record, Work, read_record
from tte.target import load_board

DIGITS = Path(__file__).parents[1] / "examples" / "digits" / "digits-int8.onnx"
HOST = load_board("host")


@pytest.fixture(scope="module", params=["fast", "balanced", "smallest"])
def compiled(request: pytest.FixtureRequest) -> Compiled:
    return compile_model(load_model(DIGITS), HOST, Options(memory=request.param))


def told(made: Compiled) -> Record:
    return record(made.program, made.plan, HOST, 0)


def boxes(picture: Picture) -> list[Box]:
    return [s for s in picture.shapes if isinstance(s, Box) and s.kind in KINDS and s.title]


def place(name: str, offset: int, size: int, first: int, last: int, kind: Kind = "activation", rows: int = 0) -> Place:
    return Place(name, f"s8[{size}]", offset, size, first, last, kind, rows)


def handmade() -> Record:
    """Call 0 makes a of x; 1 and 2 go row by row from a through the ring r to b, over a; 3 makes y of b."""
    layers = tuple(Layer(f"l{i}", "conv", "k", 0, 1.0, 0, "", ()) for i in range(4))
    places = (
        place("x", 0, 40, -1, 0, "input"),
        place("a", 40, 60, 0, 2),
        place("r", 0, 30, 1, 2, "ring", 3),
        place("b", 36, 56, 1, 3),
        place("s", 104, 16, 1, 2, "scratch"),
        place("y", 0, 8, 3, 4, "output"),
    )
    work = Work("infer", layers, places, (0, 1, 2, 2, 3), ((1, 2),))
    return Record("m", "host", 120, 112, 0, (), (work,), any_order=False, io=())


def test_boxes_are_the_slots(compiled: Compiled) -> None:
    """Back from the boxes' corners to bytes and calls."""
    own, plan = told(compiled), compiled.plan
    picture = timeline(own, own.infer)
    columns = len(own.infer.layers) + 2
    column, byte = (WIDTH - LEFT - RIGHT) / columns, (HEIGHT - TOP - BOTTOM) / plan.arena
    found = Counter(
        (
            round((HEIGHT - BOTTOM - b.y - b.h) / byte),
            round(b.h / byte),
            round((b.x - LEFT) / column) - 1,
            round((b.x + b.w - LEFT) / column) - 2,
            b.title.split(",")[0].split(" ")[0],
        )
        for b in boxes(picture)
    )
    slots = (*plan.states, *plan.functions["infer"])
    assert found == Counter((s.offset, s.bytes, s.first, min(s.last, columns - 2), s.value.name) for s in slots)
    kinds = Counter(b.kind for b in boxes(picture))
    assert kinds["ring"] == sum(s.rows > 0 for s in slots)
    assert kinds["input"] == kinds["output"] == 1


def test_labels_are_readable(compiled: Compiled) -> None:
    """Each lies in its own box, and keeps clear of the others; also where all boxes lie over each other."""
    crowd = (place("longer" * 9, 100, 20, 4, 4), *(place(f"tensor{i}", i, 90, 0, 3) for i in range(30)))
    crowded = replace(handmade(), functions=(replace(handmade().infer, places=crowd),))
    for own in (told(compiled), handmade(), crowded):
        picture = timeline(own, own.infer)
        labels = [s for s in picture.shapes if isinstance(s, Text) and s.kind == "letter"]
        assert len(labels) >= 4
        assert not any(a.box.meets(b.box) for a, b in combinations(labels, 2))
        for t in labels:
            name, size = t.text.split(",")[0].split(" ")[0], f"\n{t.text} from "
            box = next(b for b in boxes(picture) if b.title.startswith(name) or size in b.title)
            assert replace(box, x=box.x - 0.1, y=box.y - 0.1, w=box.w + 0.2, h=box.h + 0.2).holds(t.box), t


def test_the_peak_is_explained() -> None:
    own = handmade()
    found = peak(own, own.infer)
    assert (found.first, found.last) == (1, 2), "a cascade is one step"
    assert found.bytes == 30 + (100 - 36) + 16, "bytes that a and b have in turn count once"
    assert [p.value for p in found.living] == ["a", "b", "r", "s"]
    assert explain(own, own.infer) == (
        "Peak at calls 1 to 2, which run row by row: 110 of the arena's 120 B are in use, by a 60 B, b 56 B, "
        "r (3 rows) 30 B, s 16 B, some of them in turn in the same bytes. "
        "These calls need at least 112 B in this order of them, a gap of 8 B."
    )
    best = replace(own, bound_bytes=120, any_order=True)
    assert explain(best, best.infer).endswith("at least 120 B in any order of them, a gap of 0 B: proved optimal.")
    assert "proved optimal" in page(best)
    assert "proved optimal" not in page(own)
    assert best.verdict == "proved optimal; lower bound 120, gap 0"


def test_the_peak_may_be_at_the_ends_or_nowhere() -> None:
    own = handmade()
    one = replace(own.infer, places=(place("x", 0, 40, -1, -1, "input"),), cascades=())
    assert "Peak at the start, before any call: 40 of" in explain(own, one)
    two = replace(own.infer, places=(place("x", 0, 8, -1, 3), place("y", 8, 8, 4, 4, "output"), place("z", 0, 8, 4, 4)))
    assert "Peak at the end, after all calls: 16 of" in explain(own, two)
    none = Record("m", "host", 0, 0, 0, (), (Work("infer", (), (), ()),), any_order=True, io=("caller",))
    assert "by nothing" in explain(none, none.infer)
    assert page(none)


def test_equal_plans_give_equal_pages(compiled: Compiled, tmp_path: Path) -> None:
    compiled.write(tmp_path)
    written = (tmp_path / "report.html").read_text()
    assert page(read_record(tmp_path)) == written
    assert "<script" not in written
    assert "http" not in written


def test_png_shows_the_same_boxes(tmp_path: Path) -> None:
    installed("matplotlib")
    own = handmade()
    picture = timeline(own, own.infer)
    for name in ("a.png", "b.png"):
        write_png(tmp_path / name, [picture])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    pixels = Image.open(tmp_path / "a.png").convert("RGB")
    scale = DPI / 100
    assert pixels.width == WIDTH * scale
    for box in (b for b in boxes(picture) if b.kind in {"input", "ring", "scratch", "output"}):
        corner = round((box.x + box.w - 6) * scale), round((box.y + 6) * scale)
        assert pixels.getpixel(corner) == ImageColor.getrgb(COLOURS[box.kind][0]), box.title


def test_the_frontier_holds_the_choices(compiled: Compiled) -> None:
    own, module = told(compiled), compiled.module
    points = [p for p, _ in frontier(module, HOST, own)]
    assert sorted(name for p in points for name in p.memory) == ["balanced", "fast", "smallest"]
    (here,) = (p for p in points if p.here)
    assert here.arena_bytes == own.arena_bytes
    assert [p.arena_bytes for p in points] == sorted(p.arena_bytes for p in points)
    for memory in ("fast", "balanced", "smallest"):
        (named,) = (p for p in points if memory in p.memory)
        same = compile_model(load_model(DIGITS), HOST, Options(memory=memory))
        assert (named.arena_bytes, named.bound_bytes) == (same.plan.arena, same.plan.bound)
    unnamed = [p for p in points if not p.memory]
    assert not any(q.arena_bytes <= p.arena_bytes and q.modelled < p.modelled for p in unnamed for q in points)


def test_the_frontier_is_drawn() -> None:
    points = [Point((), 100, 90, 7000.0, True, False), Point(("fast",), 200, 200, 5000.0, True, True)]
    marks = [s for s in tradeoff(points).shapes if isinstance(s, Box)]
    assert [m.kind for m in marks] == ["point", "limit"]
    assert marks[0].x > marks[1].x, "more instructions to the right"
    assert marks[0].y > marks[1].y, "less memory below"
    counts = [replace(p, instructions=n) for p, n in zip(points, (10, 20), strict=True)]
    marks = [s for s in tradeoff(counts).shapes if isinstance(s, Box)]
    assert marks[0].x < marks[1].x
    assert "counted" in tradeoff(counts).caption
    assert "modelled" in tradeoff([counts[0], points[1]]).caption
    assert "fast, this project" in page(handmade(), None, points)
