"""A fully connected layer as a convolution gives the same bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tte.driver import run_passes
from tte.interp import interpret
from tte.ir import Builder, Module
from tte.op import Example
from tte.ops.conv import Conv
from tte.ops.linear import Linear
from tte.passes.training.linear_as_conv import linear_as_conv
from tte.target import load_board
from tte.types import Array, DType, Quant, Rounding, TensorType

HOST = load_board("host")
F32, S8, S32 = DType.F32, DType.S8, DType.S32


def module(op: Linear, *types: TensorType, seed: int) -> tuple[Module, dict[str, Array]]:
    """Two layers that share their weights, and a third that computes them."""
    e = Example.random(op, *types, below=3000, seed=seed)
    b = Builder("infer")
    x = b.input("x", types[0])
    w, bias = b.constant("w", types[1], e.args[1]), b.constant("b", types[2], e.args[2])
    (first,) = b.emit(op, x, w, bias, name="first", source="fc1")
    (second,) = b.emit(replace(op, low=0.0), x, w, bias, name="second")
    return Module("m", tuple(b.states), (b.finish(first, second),)), {"x": e.args[0]}


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("seed", range(5))
def test_integers_are_the_same(rounding: Rounding, seed: int) -> None:
    scales = tuple(np.random.default_rng(seed).uniform(0.0001, 0.02, 7).tolist())
    types = (
        TensorType((3, 40), S8, Quant((0.05,), 3)),
        TensorType((7, 40), S8, Quant(scales, 0, 0)),
        TensorType((7,), S32),
    )
    same(*module(Linear(out=Quant((0.2,), -7), rounding=rounding), *types, seed=seed))


def test_floats_are_the_same() -> None:
    same(*module(Linear(high=1.0), TensorType((1, 33), F32), TensorType((5, 33), F32), TensorType((5,), F32), seed=1))


def same(before: Module, given: dict[str, Array]) -> None:
    after = run_passes(before, HOST, [linear_as_conv])
    layers = [n for n in after.graph("infer").nodes if isinstance(n.op, Conv)]
    assert len(layers) == 2 and layers[0].source == "fc1" and layers[1].outs[0].source == "second"
    assert [s.value.name for s in after.states] == ["w", "b"] and after.states[0].init.ndim == 4
    found, expected = (
        interpret(m.graph("infer"), given, {s.value.name: s.init for s in m.states})[0] for m in (after, before)
    )
    assert len({v.tobytes() for v in expected.values()}) == 2
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_computed_weights_and_floats_of_integers_stay() -> None:
    q, b = Quant((0.05,), 0), Builder("infer")
    x, w = b.input("x", TensorType((3, 8), S8, q)), b.input("w", TensorType((4, 8), S8, q))
    bias = b.constant("b", TensorType((4,), S32), np.zeros(4, np.int32))
    fixed = b.constant("fixed", w.type, np.ones((4, 8), np.int8))
    (y,) = b.emit(Linear(out=q), x, w, bias)
    (z,) = b.emit(Linear(), x, fixed, bias)
    m = Module("m", tuple(b.states), (b.finish(y, z),))
    assert run_passes(m, HOST, [linear_as_conv]).graphs == m.graphs


def test_weights_that_something_else_reads_are_copied() -> None:
    b, t = Builder("infer"), TensorType((4, 4), F32)
    w, bias = (
        b.constant("w", t, np.eye(4, dtype=np.float32)),
        b.constant("b", TensorType((4,), F32), np.ones(4, np.float32)),
    )
    (y,) = b.emit(Linear(), b.input("x", t), w, bias)
    (z,) = b.emit(Linear(), w, w, bias)
    m = Module("m", tuple(b.states), (b.finish(y, z),))
    after = run_passes(m, HOST, [linear_as_conv])
    assert [s.value.type.shape for s in after.states] == [(4, 4), (4,), (4, 1, 1, 4)]
