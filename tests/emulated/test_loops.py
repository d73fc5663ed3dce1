"""Backward of inverted residual blocks in loops over channels: the bits of layer by layer, in fewer bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blocks import Shape, block, inputs
from conftest import usable

from tte.driver import finish
from tte.interp import interpret
from tte.ir import Module
from tte.passes.memory.chains import chains
from tte.passes.memory.order import order
from tte.passes.memory.plan import plan_memory
from tte.passes.select import select
from tte.passes.training.integer_gradients import IntegerGradients
from tte.program import MemoryPlan, Program
from tte.running.device import EXPORT
from tte.running.emulate import Command, build, call, play
from tte.states import layout
from tte.target import Board
from tte.types import Array, DType, TensorType

SHAPES = (
    Shape(),
    Shape(size=7, ci=10, hidden=16, co=6, k=6, kernel=5, stride=2),
    Shape(size=5, ci=8, hidden=12, co=8, k=8 - 2, kernel=3, project=True, depthwise=8),
    Shape(size=4, ci=5, hidden=10, co=7, k=3, kernel=7, stride=2, upward=False, depthwise=10),
)


def lowered(module: Module, board: Board, looped: bool) -> tuple[Program, MemoryPlan]:
    program = select(module, board)
    program = order(chains(program, board) if looped else program)
    return program, plan_memory(program)


def ran(module: Module, board: Board, looped: bool, folder: Path) -> tuple[Array, dict[str, Array]]:
    """The result and the states after a call."""
    compiled = finish(module, *lowered(module, board, looped), board)
    compiled.write(folder)
    elf = build(folder, board, sanitize=board.name == "host")
    states = layout(module.states)
    block = TensorType((len(states.pack({s.value.name: s.init for s in module.states})),), DType.U8)
    export = Command(EXPORT.to_bytes(4, "little"), (block,))
    ((y,), (after,)), _ = play(elf, board, [call(module, "infer", tuple(inputs(module).values())), export])
    return y, states.unpack(after.tobytes())


CASES = (*((s, 0) for s in SHAPES), (SHAPES[0], 8), (SHAPES[1], 16), (SHAPES[3], 8))  # bits, 0 for f32


@pytest.mark.parametrize(("shape", "bits"), CASES, ids=str)
@pytest.mark.parametrize("name", ("host", "cortex-m7"))
def test_loops_have_the_bits_of_the_reference(name: str, shape: Shape, bits: int, tmp_path: Path) -> None:
    module, board = block(shape), usable(name)
    module = IntegerGradients(bits)(module, board) if bits else module
    states = {s.value.name: s.init for s in module.states}
    (y,), after = (
        interpret(module.graphs[0], inputs(module), states)[0].values(),
        interpret(module.graphs[0], inputs(module), states)[1],
    )
    for looped in (False, True):
        got, found = ran(module, board, looped, tmp_path / str(looped))
        assert np.array_equal(got, y), looped
        assert all(np.array_equal(found[k], after[k]) for k in found), looped
        assert any(not np.array_equal(found[k], states[k]) for k in found)
