"""Boards as fixtures: a missing tool skips on a laptop and fails in CI."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from commands import Call

from tte.running.emulate import missing_tools
from tte.target import Board, boards, load_board


def need(condition: object, what: str) -> None:
    """Skip the test with `what` as the reason unless `condition` holds; in CI that is a failure."""
    if not condition:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


def installed(package: str) -> None:
    """An extra that a test draws or computes with."""
    need(find_spec(package), f"{package} is not installed")


def usable(name: str) -> Board:
    """The board, if this machine can build for it and run it."""
    board = load_board(name)
    missing = missing_tools(board)
    need(not missing, f"{name}: {', '.join(missing)} not installed")
    return board


@pytest.fixture(params=boards())
def board(request: pytest.FixtureRequest) -> Board:
    return usable(request.param)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The models and data beside the repository; TTE_SHARED names another place."""
    folder = Path(os.environ.get("TTE_SHARED", Path(__file__).parents[1].parent / "shared"))
    need(folder.is_dir(), f"{folder.name} is not beside the repository")
    return folder


@pytest.fixture
def tte(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Run a command line in an empty folder: exit code, stdout, stderr."""
    from tte.cli import console  # noqa: PLC0415 slow to import, and most tests don't need it
    from tte.cli.main import app  # noqa: PLC0415

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "PATIENCE", 600)

    def call(*argv: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tte", *argv])
        with pytest.raises(SystemExit) as left:
            app()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return call
