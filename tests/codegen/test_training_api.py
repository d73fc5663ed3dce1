"""Training through the generated program: bits equal to the interpreter's, whatever the runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import usable
from learner import CLASSES, INPUTS, learner

from tte.driver import Compiled, Options, Training, compile_model
from tte.interp import interpret
from tte.ir import Builder, Module
from tte.op import Arrays
from tte.ops.linear import Linear
from tte.running import device
from tte.running.device import Device
from tte.running.emulate import build
from tte.target import Board
from tte.training.learning import Learning
from tte.training.plan import load_plan
from tte.types import Array, DType, TensorType

STEPS = 10


def made(
    folder: Path, board_name: str = "host", sanitize: bool = True, io: frozenset[str] = frozenset()
) -> tuple[Compiled, Device]:
    board = usable(board_name)
    compiled = compile_model(learner(), board, Options(io=io))
    compiled.write(folder)
    return compiled, Device(compiled.module, build(folder, board, sanitize), board)


def lessons() -> tuple[list[Arrays], list[float]]:
    rng = np.random.default_rng(1)
    images = rng.integers(-128, 128, (STEPS, 1, INPUTS), np.int8)
    examples: list[Arrays] = [(x, np.array([i % CLASSES], np.int32)) for i, x in enumerate(images)]
    return examples, [0.1 / (1 + i) for i in range(STEPS)]


def by_interpreter(compiled: Compiled) -> tuple[list[Array], dict[str, Array]]:
    graph = compiled.module.graph("train_step")
    states = {s.value.name: s.init for s in compiled.module.states}
    losses = []
    for (x, label), rate in zip(*lessons(), strict=True):
        states |= {"rate": np.array([rate], np.float32)}
        outputs, states = interpret(graph, {"x": x, "label": label}, states)
        losses.append(outputs[graph.outs[0].name])
    return losses, states


@pytest.mark.parametrize("most", [1, 3, 256])
def test_training_in_any_runs_gives_the_interpreters_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(device, "MOST_CALLS", most)
    compiled, trained = made(tmp_path)
    found = trained.train(*lessons())
    losses, states = by_interpreter(compiled)
    np.testing.assert_array_equal([loss.ravel() for loss, _ in found], [loss.ravel() for loss in losses])
    for name, array in trained.states.items():
        np.testing.assert_array_equal(array, states[name], name)
    assert not np.array_equal(trained.states["w"], compiled.module.states[0].init)
    x = lessons()[0][0][0]
    (y,) = trained.infer([(x,)])[0]
    graph = compiled.module.graph("infer")
    np.testing.assert_array_equal(y, interpret(graph, {"x": x}, states)[0][graph.outs[0].name])


def test_every_board_learns_the_same_bits(tmp_path: Path, board: Board) -> None:
    compiled, device = made(tmp_path, board.name, sanitize=False)
    device.train(*lessons())
    _, states = by_interpreter(compiled)
    assert device.exported == device.layout.seal(device.layout.pack(states))
    cost = device.measure("train_step", lessons()[0][0])
    assert (cost.instructions is None) == (not board.cpu.counts)
    assert cost.instructions is None or cost.instructions > 100
    assert cost.stack is None or 0 < cost.stack <= 1024


def test_with_the_callers_buffers_it_learns_the_same(tmp_path: Path) -> None:
    _, arena = made(tmp_path / "arena")
    _, caller = made(tmp_path / "caller", io=frozenset({"caller"}))
    for a, b in zip(arena.train(*lessons()), caller.train(*lessons()), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
    assert arena.exported == caller.exported


def test_a_target_is_an_input_like_others(tmp_path: Path) -> None:
    """Mean squared error: a small network learns to give what it is asked for."""
    board = usable("host")
    b = Builder("infer")
    x = b.input("x", TensorType((1, INPUTS), DType.F32))
    w = b.constant("w", TensorType((2, INPUTS), DType.F32), np.ones((2, INPUTS), np.float32))
    bias = b.constant("b", TensorType((2,), DType.F32), np.zeros(2, np.float32))
    module = Module("fit", tuple(b.states), (b.finish(*b.emit(Linear(), x, w, bias)),))
    training = Training(load_plan("full"), Learning(loss="mse"))
    compiled = compile_model(module, board, Options(train=training))
    compiled.write(tmp_path)
    assert "fit_train_step(void *arena, float *loss);" in (tmp_path / "model.h").read_text()
    device = Device(compiled.module, build(tmp_path, board, sanitize=True), board)
    given = (np.linspace(-1, 1, INPUTS, dtype=np.float32).reshape(1, -1), np.array([[0.5, -2.0]], np.float32))
    found = device.train([given] * 40, [0.2] * 40)
    assert found[0][0][0] > 1
    assert found[-1][0][0] < 1e-4
