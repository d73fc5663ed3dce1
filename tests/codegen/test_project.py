"""The generated project: readable names, no Python, no globals, little stack, the same bytes each time."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import usable
from examples import cases

from tte.driver import Options, compile_model
from tte.ir import Builder, Module
from tte.ops.add import Add
from tte.record import read_record
from tte.report import deepest
from tte.running.elf import Section, sections
from tte.running.emulate import build, infer, run_elf
from tte.target import Board, load_board
from tte.types import DType, TensorType

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits-int8.onnx"
HASHED = "import sys; from tte.cli.main import app; sys.argv[0] = 'tte'; app()"


def project(folder: Path, board: str, *options: str, seed: int = 0) -> Path:
    """Compile the example in a process of its own, whose sets have an order of their own."""
    argv = [sys.executable, "-c", HASHED, "compile", str(DIGITS), "--board", board, "-o", str(folder), "--no-build"]
    subprocess.run([*argv, *options], check=True, env=os.environ | {"PYTHONHASHSEED": str(seed)}, capture_output=True)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def host() -> Board:
    return usable("host")


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    first, second = (contents(project(tmp_path / str(i), "cortex-m4", seed=i)) for i in (1, 2))
    assert first == second
    assert set(first) == set(read_record(tmp_path / "1").files)


def test_make_alone_builds_it(tmp_path: Path) -> None:
    """With nothing on the PATH but make, the compiler and what these call."""
    host()
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("make", "gcc", "sh", "mkdir", "as", "ld"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    folder = project(tmp_path / "p", "host")
    done = subprocess.run(["make"], cwd=folder, env={"PATH": str(tools)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (folder / "model.elf").exists()


def test_model_has_no_globals_and_little_stack(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", "host")
    build(folder, host())
    for name in ("model.o", "weights.o"):
        held = sections((folder / "build" / "model" / name).read_bytes())
        assert not [s.name for s in held if s.flags & Section.WRITE and s.flags & Section.ALLOC and s.size], name
    assert 0 < deepest(folder) <= 1024


def test_every_kernel_is_clean_under_the_sanitizers(tmp_path: Path) -> None:
    board = host()
    compiled, found = cases(board)
    compiled.write(tmp_path)
    data = b""
    for i, case in enumerate(found):
        e = case.example
        given = [t.encode(a) for j, (t, a) in enumerate(zip(e.ins, e.args, strict=True)) if j not in e.consts]
        data += struct.pack("<I", i) + b"".join(given)
    assert run_elf(build(tmp_path, board, sanitize=True), board, data).exit_code == 0


def test_the_arena_is_guarded_and_exact(tmp_path: Path) -> None:
    """With poison around the arena; main also asks that one byte less is refused."""
    folder, board = project(tmp_path / "p", "host"), host()
    subprocess.run(["make", "-s", "GUARD=64"], cwd=folder, check=True)
    sample = np.zeros(64, np.float32).tobytes()
    assert run_elf(folder / "model.elf", board, bytes(4) + sample).exit_code == 0
    source = folder / "model.c"
    text = source.read_text()
    source.write_text(text.replace("    (void)base;", "    base[DIGITS_INT8_ARENA_BYTES] ^= 1u;"))
    assert source.read_text() != text
    subprocess.run(["make", "-s", "GUARD=64"], cwd=folder, check=True)
    assert run_elf(folder / "model.elf", board, bytes(4) + sample).exit_code == 97


NAMES = ("int8_t", "status", "arena", "in0", "out0", "step_add_0", "tte_mark", "p", "x y", "1", "\u00e9", "main", "")


@pytest.mark.parametrize("io", [frozenset(), frozenset({"caller"})], ids=["arena", "caller"])
def test_any_names_give_valid_c(tmp_path: Path, io: frozenset[str]) -> None:
    b = Builder("infer")
    t = TensorType((1, 4), DType.F32)
    ins = [b.input(name, t) for name in NAMES]
    outs = [b.emit(Add(), v, v, name=name, source=f"*/ {name} /*")[0] for name, v in zip(NAMES, ins, strict=True)]
    module = Module("register", (), (b.finish(*outs),))
    board = host()
    compile_model(module, board, Options(io=io)).write(tmp_path)
    sample = tuple(np.full((1, 4), i, np.float32) for i in range(len(NAMES)))
    found = infer(module, build(tmp_path, board), board, [sample])
    assert [a[0, 0] for a in found.outputs[0]] == [2 * i for i in range(len(NAMES))]


@pytest.mark.parametrize("board_name", ["host", "hexagon", "cortex-m55"])
def test_a_project_for_every_board_names_what_it_holds(tmp_path: Path, board_name: str) -> None:
    folder = project(tmp_path / "p", board_name)
    made = contents(folder)
    assert {"model.h", "model.c", "weights.c", "main.c", "Makefile", "plan.json", "report.html"} <= set(made)
    assert load_board(board_name).cpu.cc[0].encode() in made["Makefile"]
    assert str(Path.home()).encode() not in b"".join(made.values())
    assert max(map(len, made["model.c"].decode().splitlines())) <= 120
