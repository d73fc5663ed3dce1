"""Training doesn't depend on the unit in which a model measures its input."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from tte.interp import interpret
from tte.ir import Builder, Module
from tte.ops.conv import Conv
from tte.ops.reshape import Reshape
from tte.passes.training.train_states import TrainStates
from tte.passes.training.train_step import TrainStep, units
from tte.target import load_board
from tte.training.learning import Learning, Optimizer
from tte.training.plan import load_plan
from tte.types import DType, Quant, TensorType

HOST = load_board("host")
SHAPE = (1, 4, 4, 2)


def network(unit: float) -> Module:
    """Two layers; the first one's weights are real numbers smaller by the unit than those of network(1)."""
    rng, b = np.random.default_rng(0), Builder("infer")
    x = b.input("x", TensorType(SHAPE, DType.S8, Quant((unit / 64,), -128)))
    for name, co, k, s_x, y in (("a", 6, 4, unit / 64, 0.02), ("b", 3, 1, 0.02, 0.05)):
        s_w = tuple((rng.integers(1, 9, co) / (1024 * (unit if name == "a" else 1))).tolist())
        ci = x.type.shape[3]
        w_type = TensorType((co, k, k, ci), DType.S8, Quant(s_w, 0, 0))
        w = b.constant(f"{name}_w", w_type, rng.integers(-99, 99, (co, k, k, ci), np.int8))
        b_type = TensorType((co,), DType.S32, Quant(tuple(s * s_x for s in s_w), 0, 0))
        bias = b.constant(f"{name}_b", b_type, rng.integers(-99, 99, co, np.int32))
        (x,) = b.emit(Conv(out=Quant((y,), 0)), x, w, bias)
    return Module("net", tuple(b.states), (b.finish(*b.emit(Reshape((1, 3)), x)),))


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
@pytest.mark.parametrize("unit", [16.0, 128.0, 0.25])
def test_steps_are_the_same_in_any_unit(optimizer: Optimizer, unit: float) -> None:
    """To the bit, since these units are powers of two."""
    rng = np.random.default_rng(1)
    examples = [(rng.integers(-128, 127, SHAPE, np.int8), np.array([i % 3], np.int32)) for i in range(4)]
    after = []
    for u in (1.0, unit):
        module = TrainStates(load_plan("full"))(network(u), HOST)
        module = TrainStep(Learning(optimizer=optimizer, rate=0.05))(module, HOST)
        graph, states = module.graph("train_step"), {s.value.name: s.init for s in module.states}
        for arrays in examples:
            _, states = interpret(graph, {v.name: a for v, a in zip(graph.ins, arrays, strict=True)}, states)
        assert (states["a_w"] != network(u).states[0].init).any()
        after.append(states)
    for name in ("a_w", "a_b", "b_w", "b_b"):
        np.testing.assert_array_equal(after[0][name], after[1][name])


def test_units_are_those_of_the_input_alone() -> None:
    found = {v.name: u for v, u in units(network(128.0).graph("infer")).items()}
    assert found == {"a_w": 2.0**-9}  # 255 / 64 * 128 lies below 512
    assert units(network(1 / 4).graph("infer")) == {}
