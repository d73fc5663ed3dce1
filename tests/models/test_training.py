"""Training of mcunet-5fps and its siblings: bytes, instructions, and the same bits everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import usable
from networks import NETWORKS
from siblings import sibling

from tte.driver import Compiled, Options, Training, compile_model
from tte.interp import interpret
from tte.ir import Module
from tte.op import Arrays
from tte.report import measure
from tte.running.device import Device
from tte.running.emulate import build
from tte.target import Board, load_board
from tte.training.learning import Gradients, Learning
from tte.training.plan import TrainPlan, load_plan

SRAM = 128 * 1024
STEPS = 50
MOST = 95e6  # instructions of a step on cortex-m7; the released system's, whose gradients are wrong, are 103.94 M
SMALLEST = Options(io=frozenset({"quantized"}), memory="smallest")
RATE = 0.002


def trainer(module: Module, board: Board, plan: TrainPlan, learning: Learning | None = None) -> Compiled:
    """The module as a project that learns ten classes, in the least memory."""
    return compile_model(module, board, replace(SMALLEST, train=Training(plan, learning or Learning(), 10)))


@cache
def mcunet(shared: Path, board: str, plan: str, gradients: Gradients = "f32") -> Compiled:
    module = NETWORKS["mcunet_5fps"].load(shared)
    return trainer(module, load_board(board), load_plan(plan), Learning(gradients=gradients))


def examples(module: Module, count: int) -> list[Arrays]:
    """Images and labels at random."""
    x, label = (v.type for v in module.graph("train_step").ins)
    rng = np.random.default_rng(3)

    def draw() -> Arrays:
        return rng.integers(-128, 128, x.shape, np.int8), rng.integers(0, 10, label.shape, np.int32)

    return [draw() for _ in range(count)]


def device(compiled: Compiled, board: Board, folder: Path) -> Device:
    """The project, built."""
    compiled.write(folder)
    return Device(compiled.module, build(folder, board), board)


ARENAS: dict[str, tuple[Callable[[Path], Module], int]] = {
    "mcunet-5fps-49kb": (NETWORKS["mcunet_5fps"].load, 100_000),
    "mcunet-5fps-99kb": (NETWORKS["mcunet_5fps"].load, 142_000),
    "mobilenetv2-0.35-49kb": (lambda shared: sibling("mobilenetv2-0.35"), 104_000),
    "proxylessnas-0.3-49kb": (lambda shared: sibling("proxylessnas-0.3"), 104_000),
}


@pytest.mark.parametrize("plan", ARENAS)
def test_arena(plan: str, shared: Path) -> None:
    """Trained weights, the head of floats, what is saved and scratch included."""
    load, most = ARENAS[plan]
    compiled = trainer(load(shared), load_board("cortex-m7"), load_plan(plan))
    assert compiled.plan.arena <= most


def test_a_step_in_instructions(shared: Path, tmp_path: Path) -> None:
    board = usable("cortex-m7")
    compiled = mcunet(shared, board.name, "mcunet-5fps-49kb")
    found = device(compiled, board, tmp_path)
    cost = found.measure("train_step", examples(compiled.module, 1)[0])
    assert cost.instructions is not None and cost.instructions <= MOST


def test_trains_within_128_kilobytes(shared: Path, tmp_path: Path) -> None:
    """The whole program, stack and data included, with the fence on, on the emulated STM32F746."""
    board = usable("stm32f746").limited(SRAM)
    module = NETWORKS["mcunet_5fps"].load(shared)
    compiled = trainer(module, board, load_plan("mcunet-5fps-49kb"))
    found = device(compiled, board, tmp_path)
    (loss, _), *_ = found.train(examples(compiled.module, 2), [RATE, RATE])
    assert np.isfinite(loss).all()
    cost = found.measure("train_step", examples(compiled.module, 1)[0])
    assert cost.stack is not None and cost.stack < 1024
    measured = measure(tmp_path, board, {}, cost.stack)
    assert measured.sram_bytes is not None and measured.sram_bytes <= SRAM
    assert measured.flash_bytes is not None and measured.flash_bytes <= 1024 * 1024


@pytest.mark.parametrize(("gradients", "plan"), [("f32", "mcunet-5fps-49kb"), ("int8", "bias-only-6")])
def test_host_and_board_learn_the_same_bits(gradients: Gradients, plan: str, shared: Path, tmp_path: Path) -> None:
    """Weights after fifty steps; the first two are also those of the reference."""
    losses, states = [], []
    for name in ("host", "cortex-m7"):
        compiled = mcunet(shared, name, plan, gradients)
        found = device(compiled, usable(name), tmp_path / name)
        given = examples(compiled.module, STEPS)
        losses.append([loss for loss, _ in found.train(given[:2], [RATE] * 2)])
        early = found.states
        found.train(given[2:], [RATE] * (STEPS - 2))
        states.append(found.states)
        if name == "host":
            graph, module = compiled.module.graph("train_step"), compiled.module
            known = {s.value.name: s.init for s in module.states} | {"rate": np.array([RATE], np.float32)}
            for arrays in given[:2]:
                _, known = interpret(graph, {v.name: a for v, a in zip(graph.ins, arrays, strict=True)}, known)
            assert all(np.array_equal(early[k], known[k]) for k in early)
    assert np.array_equal(*losses)
    assert states[0].keys() == states[1].keys()
    different = [k for k in states[0] if not np.array_equal(states[0][k], states[1][k])]
    assert not different
    assert all(not np.array_equal(states[0][k], early[k]) for k in ("head_weight", "block13_expand_bias_dq"))
