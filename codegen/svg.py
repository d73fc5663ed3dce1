"""A picture as a file of its own. Floor 4."""

from __future__ import annotations

from tte.codegen.jinja import environment
from tte.pictures.picture import COLOURS, HATCHED, WIDTH, Picture

ENV = environment(autoescape=True)


def svg(picture: Picture) -> str:
    """An SVG with its colours for paper and for a dark screen."""
    view = {"picture": picture, "width": WIDTH, "colours": COLOURS, "hatched": HATCHED}
    return ENV.get_template("picture.svg.j2").render(view)
