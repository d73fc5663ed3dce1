"""Large constants come from a binary file: the same bits on every board, in a section of their own, never stale."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import usable

from tte.codegen import large
from tte.driver import compile_model
from tte.interp import interpret
from tte.ir import Builder, Module
from tte.op import Arrays
from tte.ops.linear import Linear
from tte.ops.quantize import Quantize
from tte.record import read_record
from tte.running.emulate import build, infer
from tte.target import Board
from tte.types import Array, DType, Quant, TensorType

X = Quant((0.03,), 3)


def network() -> Module:
    """A layer of integers, which an npu takes, and a layer of floats."""
    rng, b = np.random.default_rng(0), Builder("infer")
    (x,) = b.emit(Quantize(X), b.input("x", TensorType((2, 20), DType.F32)))
    w = b.constant("w", TensorType((9, 20), DType.S8, Quant((0.01,) * 9, 0, 0)), rng.integers(-127, 128, (9, 20), "b"))
    floats = b.constant("f", TensorType((3, 9), DType.F32), rng.standard_normal((3, 9)).astype(np.float32))
    bias = b.constant("bias", TensorType((9,), DType.S32), rng.integers(-500, 500, 9, np.int32))
    graph = b.finish(*b.emit(Linear(), b.emit(Linear(), x, w, bias)[0], floats))
    return Module("net", tuple(b.states), (graph,))


def check(folder: Path, board: Board, module: Module) -> None:
    x: Array = np.random.default_rng(1).standard_normal((2, 20)).astype(np.float32)
    wanted, _ = interpret(module.graph("infer"), {"x": x}, {s.value.name: s.init for s in module.states})
    found: tuple[Arrays, ...] = infer(module, build(folder, board), board, [(x,)]).outputs
    np.testing.assert_array_equal(found[0][0], next(iter(wanted.values())), strict=True)


def test_large_constants(board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "LARGE", 100)
    module = network()
    compile_model(module, board).write(tmp_path)
    units = {"large": "weights.c"} | ({"npu_large": "npu_weights.c"} if board.npu else {})
    assert {f"{name}.{end}" for name in units for end in ("s", "bin")} <= set(read_record(tmp_path).files)
    for name, beside in units.items():
        text, data = (tmp_path / f"{name}.s").read_text(), (tmp_path / f"{name}.bin").read_bytes()
        pieces = re.findall(r'\n(\w+):\n +\.incbin "(.+)", (\d+), (\d+)\n', text)
        assert sum(int(n) for *_, n in pieces) == len(data)
        for symbol, file, _, _ in pieces:
            assert file == f"{name}.bin"
            assert f"    .section .rodata.{symbol}, " in text
            assert symbol not in (tmp_path / beside).read_text()
    check(tmp_path, board, module)


def test_a_changed_file_is_built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "LARGE", 100)
    board, module = usable("host"), network()
    compile_model(module, board).write(tmp_path)
    check(tmp_path, board, module)
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(len(path.read_bytes())))
    subprocess.run(["touch", "-d", "+1 minute", str(path)], check=True)
    with pytest.raises(AssertionError):
        check(tmp_path, board, module)


def test_what_is_small_is_c(tmp_path: Path) -> None:
    compile_model(network(), usable("phone-host")).write(tmp_path)
    assert not [*tmp_path.glob("*.s"), *tmp_path.glob("*.bin")]
