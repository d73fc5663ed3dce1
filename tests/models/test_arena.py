"""Memory of the real networks, by rows: bars in bytes and in instructions, bits unchanged, under fence and paint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import usable
from networks import NETWORKS, arena_of, expected

from tte.driver import Memory, Options, compile_model
from tte.running.emulate import Inference, build, infer
from tte.target import Board, boards

STACK = 1024  # the most that inference may need (DESIGN 6)
SMALLEST = {  # bytes of the arena at `--memory smallest --io quantized`, the input resident
    "kws": 7_200,
    "ic": 17_500,
    "ic_large": 37_000,
    "vww": 29_500,
    "ad": 768,
    "sww": 4_200,
    "mcunet_vww": 24_000,
    "mcunet_5fps": 56_500,
}
SLOWER = {"balanced": 1.05, "smallest": 1.15}  # instructions beside those of `fast`, on cortex-m7


def measured(name: str, board: Board, memory: Memory, shared: Path, folder: Path) -> tuple[int, Inference]:
    """Bytes of the arena, and a run that gave the oracle's bits with its memory fenced and its stack painted."""
    module, given, wanted = expected(name, shared, 2)
    compiled = compile_model(module, board, Options(io=frozenset({"quantized"}), memory=memory))
    compiled.write(folder)
    run = infer(compiled.module, build(folder, board), board, given)
    for outputs, oracle in zip(run.outputs, wanted, strict=True):
        for a, b in zip(outputs, oracle, strict=True):
            np.testing.assert_array_equal(a, b)
    assert run.stack is None or run.stack <= STACK
    return arena_of(compiled), run


@pytest.mark.parametrize("board_name", [b for b in boards() if b != "cortex-m7"])
@pytest.mark.parametrize("name", NETWORKS)
def test_smallest(name: str, board_name: str, shared: Path, tmp_path: Path) -> None:
    board = usable(board_name)
    arena, _ = measured(name, board, "smallest", shared, tmp_path)
    assert arena <= SMALLEST[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_instructions_by_memory(name: str, shared: Path, tmp_path: Path) -> None:
    """What fewer bytes cost; by rows nothing is computed twice, so it is little."""
    board = usable("cortex-m7")
    kinds: tuple[Memory, ...] = ("fast", "balanced", "smallest")
    found = {memory: measured(name, board, memory, shared, tmp_path / memory) for memory in kinds}
    assert found["smallest"][0] <= min(SMALLEST[name], found["balanced"][0]) <= found["fast"][0]
    fast = found["fast"][1].instructions or 0
    for memory, limit in SLOWER.items():
        assert 0 < (found[memory][1].instructions or 0) <= limit * fast, memory
