"""Pictures as PNG, by matplotlib. Floor 2."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tte.errors import TteError
from tte.pictures.picture import COLOURS, HATCHED, NORMAL, WIDTH, Box, Line, Picture, Shape, Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 200
POINTS = 72 / 100  # of a unit: a picture is 11 inches wide
LINE = 20.0  # height of a line of the caption
ALIGNED = {"start": "left", "middle": "center", "end": "right"}


def write_png(path: Path, pictures: Sequence[Picture]) -> None:
    """One below the other, each over its caption. Raises TteError without matplotlib."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 an extra, slow to import
    except ImportError as error:
        raise TteError(str(path), "needs matplotlib", "pip install matplotlib") from error
    captions = [textwrap.wrap(p.caption, 150) for p in pictures]
    heights = [p.height + LINE * (len(c) + 1) for p, c in zip(pictures, captions, strict=True)]
    total, top = sum(heights), 0.0
    figure = Figure(figsize=(WIDTH / 100, total / 100), dpi=DPI, facecolor=_colour("paper"))
    for picture, lines, height in zip(pictures, captions, heights, strict=True):
        axes = figure.add_axes((0, 1 - (top + height) / total, 1, height / total))
        axes.set_xlim(0, WIDTH)
        axes.set_ylim(height, 0)
        axes.set_axis_off()
        texts = [Text(12, picture.height + LINE * (i + 0.5), t, size=NORMAL) for i, t in enumerate(lines)]
        for order, shape in enumerate((*picture.shapes, *texts)):
            _draw(axes, shape, order)
        top += height
    figure.savefig(path, format="png", metadata={"Software": None})


def _draw(axes: Axes, shape: Shape, order: int) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415
    from matplotlib.patheffects import withStroke  # noqa: PLC0415

    match shape:
        case Box(x, y, w, h, kind) if kind == HATCHED:
            edge = _colour("letter")
            box = Rectangle((x, y), w, h, fill=False, hatch="////", edgecolor=edge, alpha=0.25, lw=0, zorder=order)
            axes.add_patch(box)
        case Box(x, y, w, h, kind):
            edge = _colour("peak" if kind == "peak" else "edge")
            axes.add_patch(Rectangle((x, y), w, h, facecolor=_colour(kind), edgecolor=edge, lw=0.5, zorder=order))
        case Line(x, y, to_x, to_y, kind, dashed):
            axes.plot((x, to_x), (y, to_y), color=_colour(kind), lw=0.8, ls="--" if dashed else "-", zorder=order)
        case Text(x, y, text, kind, size, anchor, upward):
            drawn = axes.text(x, y, text, color=_colour(kind), size=size * POINTS * 0.95, zorder=order)
            drawn.set(ha=ALIGNED[anchor], va="center", rotation=90 if upward else 0, rotation_mode="anchor")
            drawn.set_parse_math(False)
            if kind == "letter":
                drawn.set_path_effects([withStroke(linewidth=2, foreground="white", alpha=0.5)])


def _colour(kind: str) -> str:
    return COLOURS[kind][0]
