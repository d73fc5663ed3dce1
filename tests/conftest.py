"""Boards as fixtures: a missing tool skips on a laptop and fails in CI."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tte.emulate import missing_tools
from tte.target import Board, boards, load_board


def need(condition: object, what: str) -> None:
    """Skip the test with `what` as the reason unless `condition` holds; in CI that is a failure."""
    if not condition:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


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
