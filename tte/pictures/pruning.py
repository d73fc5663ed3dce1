"""What pruning the shadows of outliers costs: perplexity against the share that was pruned. Floor 3."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tte.pictures.axes import BOTTOM, HEIGHT, LEFT, MARK, RIGHT, TOP, Scale, axes
from tte.pictures.picture import WIDTH, Box, Line, Picture, Shape, rounded
from tte.record import Pruned


def pruning(curve: Sequence[Pruned]) -> Picture:
    """The picture; the curve is not empty."""
    across = Scale([100 * p.share for p in curve], LEFT, WIDTH - RIGHT)
    up = Scale([10000 * p.rise for p in curve], HEIGHT - BOTTOM, TOP)
    shapes: list[Shape] = [*axes(across, up, "shadows that were pruned, %", "rise of the perplexity, 0.01%")]
    spots = [(across.at(100 * p.share), up.at(10000 * p.rise)) for p in curve]
    shapes += [Line(*a, *b, "point") for a, b in pairwise(spots)]
    for (x, y), p in zip(spots, curve, strict=True):
        told = f"{p.share:.0%} pruned, {p.channels} channels: {p.rise:+.2%}"
        shapes.append(Box(x - MARK / 2, y - MARK / 2, MARK, MARK, "limit" if p.chosen else "point", told))
    caption = "Perplexity against the share of inputs whose shadow was pruned, measured; the choice is marked."
    return Picture(HEIGHT, caption, rounded(shapes))
