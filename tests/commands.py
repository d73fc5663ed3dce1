"""What tests of the command line share; the fixture `tte` is in conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

DIGITS = str(Path(__file__).parents[1] / "examples" / "digits" / "digits-int8.onnx")
Call = Callable[..., tuple[int, str, str]]


def refused(result: tuple[int, str, str], *words: str, code: int = 2) -> None:
    """One line on stderr, nothing on stdout."""
    assert result[0] == code, result
    assert result[1] == ""
    assert result[2].startswith("tte: ")
    assert result[2].count("\n") == 1
    for word in words:
        assert word in result[2]
