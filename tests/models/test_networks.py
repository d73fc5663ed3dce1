"""The real networks on every board: bits equal to the oracle, memory within its bars and its fence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import usable
from networks import NETWORKS, arena_of, expected, most_instructions

from tte.driver import Compiled, Options, compile_model
from tte.op import Arrays
from tte.running.emulate import build, infer
from tte.target import boards

STACK = 1024  # the most that inference may need (DESIGN 6)
FAST = Options(io=frozenset({"quantized"}), memory="fast")


def check(name: str, board_name: str, shared: Path, folder: Path, count: int) -> None:
    """Compile for the board, run `count` samples, compare every bit of every output."""
    board = usable(board_name)
    module, given, wanted = expected(name, shared, count)
    compiled = compile_model(module, board, FAST)
    assert compiled.plan.bound <= compiled.plan.arena
    assert arena_of(compiled) <= NETWORKS[name].arena
    compiled.write(folder)
    run = infer(compiled.module, build(folder, board), board, given)
    for outputs, oracle in zip(run.outputs, wanted, strict=True):
        for a, b in zip(outputs, oracle, strict=True):
            np.testing.assert_array_equal(a, b)
    assert run.stack is None or run.stack <= STACK
    assert (run.instructions is None) == (not board.cpu.counts)
    assert run.instructions is None or run.instructions <= most_instructions(name, board_name)


@pytest.mark.parametrize("board_name", boards())
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_equal_the_oracle(name: str, board_name: str, shared: Path, tmp_path: Path) -> None:
    check(name, board_name, shared, tmp_path, 2)


@pytest.mark.full
@pytest.mark.parametrize("board_name", boards())
@pytest.mark.parametrize("name", NETWORKS)
def test_ten_samples_equal_the_oracle(name: str, board_name: str, shared: Path, tmp_path: Path) -> None:
    check(name, board_name, shared, tmp_path, 10)


def on_host(shared: Path, folder: Path, name: str = "kws") -> tuple[Compiled, list[Arrays], list[Arrays]]:
    """A network, written out for the host."""
    module, given, wanted = expected(name, shared, 2)
    compiled = compile_model(module, usable("host"), FAST)
    compiled.write(folder)
    return compiled, given, wanted


@pytest.mark.parametrize("name", NETWORKS)
def test_sanitizers_and_guards_are_silent(name: str, shared: Path, tmp_path: Path) -> None:
    """The arena, of exactly its bytes, lies between poisoned guards; one byte less is refused by init (main.c)."""
    compiled, given, wanted = on_host(shared, tmp_path, name)
    makefile = tmp_path / "Makefile"
    makefile.write_text(makefile.read_text().replace("GUARD = 0", "GUARD = 64"))
    host = usable("host")
    run = infer(compiled.module, build(tmp_path, host, sanitize=True), host, given)
    np.testing.assert_array_equal(run.outputs[1][0], wanted[1][0])


def test_a_write_past_the_arena_is_seen(shared: Path, tmp_path: Path) -> None:
    compiled, given, _ = on_host(shared, tmp_path)
    model, makefile = tmp_path / "model.c", tmp_path / "Makefile"
    poke = f"    base[{compiled.plan.arena}] = 1;\n    return TTE_OK;\n}}\n"
    model.write_text("".join(model.read_text().rsplit("    return TTE_OK;\n}\n", 1)) + poke)
    makefile.write_text(makefile.read_text().replace("GUARD = 0", "GUARD = 64"))
    host = usable("host")
    with pytest.raises(Exception, match="exit code 97"):
        infer(compiled.module, build(tmp_path, host), host, given)


def test_equal_input_gives_equal_projects(shared: Path) -> None:
    module, _, _ = expected("kws", shared, 2)
    board = usable("host")
    assert compile_model(module, board, FAST).files == compile_model(NETWORKS["kws"].load(shared), board, FAST).files
