"""Every op, on every example, with every kernel, on every board: bits equal to the reference. One ELF per board."""

from __future__ import annotations

from pathlib import Path

from examples import cases, differing

from tte.running.emulate import build
from tte.target import Board


def test_kernels_equal_the_reference(board: Board, tmp_path: Path) -> None:
    compiled, found = cases(board)
    compiled.write(tmp_path)
    wrong = differing(compiled, found, build(tmp_path, board), board)
    assert not wrong, "\n".join(wrong)
