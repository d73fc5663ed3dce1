"""The README's tables are what the commands beside them print, and what it names exists."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tte.cli.main import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("command", ["boards", "ops"])
def test_tables(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["tte", command, "--markdown"])
    with pytest.raises(SystemExit):
        app()
    assert capsys.readouterr().out in README


def test_paths_and_targets_exist() -> None:
    names = re.findall(r"`((?:tte|tests|passes|codegen|runtime_c|boards|examples|docs)/[\w./-]+)`", README)
    assert len(names) >= 8
    assert [n for n in names if not (ROOT / n).exists()] == []
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert [n for n in links if not (ROOT / n).exists()] == []
    makefile = (ROOT / "Makefile").read_text()
    assert [t for t in re.findall(r"^    make (\S+)", README, re.M) if f"\n{t}:" not in makefile] == []
