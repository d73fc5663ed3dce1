"""The picture of a schedule: a box for each task where it runs, on paper and on a dark screen."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

from conftest import installed
from PIL import Image, ImageColor

from tte.codegen.svg import svg
from tte.pictures.gantt import IDLE, KINDS, LEFT, RIGHT, gantt
from tte.pictures.picture import COLOURS, WIDTH, Box, Line, Text
from tte.pictures.png import DPI, write_png
from tte.timetable import Task, follow
from tte.types import NPU

TASKS = (
    Task(0, 0, "cpu", 10, crossing=5),
    Task(0, 1, NPU, 30, (0,), crossing=7),
    Task(1, 0, "cpu", 10, crossing=5),
    Task(1, 1, NPU, 20, (2,), crossing=7),
)
RUNS = {
    "good": follow(TASKS, {"cpu": (0, 2), NPU: (1, 3)}),
    "late": follow((*TASKS, Task(0, 2, "cpu", 40, (1,))), {"cpu": (0, 4, 2), NPU: (1, 3)}),
}


def test_boxes_are_the_tasks() -> None:
    picture = gantt(RUNS, 60, "ms")
    found = Counter(
        (b.kind, round((b.x - LEFT) / (WIDTH - LEFT - RIGHT) * 110), round(b.w / (WIDTH - LEFT - RIGHT) * 110))
        for b in picture.shapes
        if isinstance(b, Box) and b.title.startswith("chunk")
    )
    expected = [(KINDS[t.chunk], s, t.cost) for r in RUNS.values() for t, s in zip(r.tasks, r.starts, strict=True)]
    assert found == Counter(expected)
    (limit,) = (s for s in picture.shapes if isinstance(s, Line) and s.kind == "limit")
    assert round((limit.x - LEFT) / (WIDTH - LEFT - RIGHT) * 110) == 60
    assert picture.caption == (
        "Modelled ms: good 60 (0.0% of the NPU's time idle); late 110 (50.0% of the NPU's time idle); "
        "no order takes fewer than 60. 24 B cross between the units."
    )
    texts = [s for s in picture.shapes if isinstance(s, Text)]
    assert not any(a.box.meets(b.box) for a, b in combinations(texts, 2))
    assert all(t.box.x >= 0 and t.box.x + t.box.w <= WIDTH for t in texts)


def test_on_paper_and_on_a_dark_screen(tmp_path: Path) -> None:
    picture = gantt(RUNS, 60)
    drawn = svg(picture)
    assert "prefers-color-scheme: dark" in drawn
    assert drawn.count(f'<rect class="{KINDS[1]}"') == 4 + 1, "two tasks in each run, and the legend"
    installed("matplotlib")
    write_png(tmp_path / "a.png", [picture])
    pixels, scale = Image.open(tmp_path / "a.png").convert("RGB"), DPI / 100
    for box in (s for s in picture.shapes if isinstance(s, Box) and s.title and s.kind != IDLE):
        middle = round((box.x + box.w * 0.9) * scale), round((box.y + box.h / 3) * scale)
        assert pixels.getpixel(middle) == ImageColor.getrgb(COLOURS[box.kind][0]), box.title
