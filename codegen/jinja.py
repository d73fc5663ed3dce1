"""How templates are read. Floor 3."""

from __future__ import annotations

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tte.target import BOARDS

TEMPLATES = BOARDS.parent / "codegen" / "templates"


def environment(autoescape: bool = False) -> Environment:
    """Templates in codegen/templates, where a name without a value is an error."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=autoescape,
    )
