"""A border of zeros becomes part of the convolution; any other stays."""

from __future__ import annotations

import numpy as np
import pytest

from tte.driver import run_passes
from tte.interp import interpret
from tte.ir import Builder, Module
from tte.ops.conv import Conv
from tte.ops.pad import Pad
from tte.passes.simplify.dce import dce
from tte.passes.simplify.fuse_pad import fuse_pad
from tte.target import load_board
from tte.types import DType, Quant, TensorType

HOST = load_board("host")


@pytest.mark.parametrize(
    ("pads", "left"),
    [
        ([Pad((0, 1, 2, 0), (0, 0, 1, 0))], 0),
        ([Pad((0, 1, 0, 0), (0, 0, 0, 0)), Pad((0, 0, 3, 0), (0, 1, 0, 0))], 0),
        ([Pad((0, 1, 1, 0), (0, 1, 1, 0), 1.0)], 1),
        ([Pad((0, 1, 1, 0), (0, 1, 1, 1))], 1),
        ([Pad((0, 1, 1, 0), (0, 1, 1, 0), 1.0), Pad((0, 1, 1, 0), (0, 1, 1, 0))], 1),
    ],
)
def test_the_meaning_stays(pads: list[Pad], left: int) -> None:
    rng = np.random.default_rng(0)
    b = Builder("infer")
    x = v = b.input("x", TensorType((1, 5, 6, 3), DType.S8, Quant((0.05,), 3)))
    for pad in pads:
        (v,) = b.emit(pad, v)
    c = v.type.shape[3]
    w = b.constant(
        "w", (t := TensorType((4, 3, 3, c), DType.S8, Quant((0.02,)))), rng.integers(-128, 128, t.shape, np.int8)
    )
    bias = b.constant("b", TensorType((4,), DType.S32), np.arange(4, dtype=np.int32))
    (y,) = b.emit(Conv((2, 1), (0, 1, 1, 0), out=Quant((0.3,), -5)), v, w, bias)
    module = Module("m", tuple(b.states), (b.finish(y),))
    fused = run_passes(module, HOST, (fuse_pad, dce))
    assert [n.op.label() for n in fused.graphs[0].nodes] == ["pad"] * left + ["conv"]
    image = {"x": rng.integers(-128, 128, x.type.shape, np.int8)}
    states = {s.value.name: s.init for s in module.states}
    expected, got = (interpret(m.graphs[0], image, states)[0] for m in (module, fused))
    np.testing.assert_array_equal(got[y.name], expected[y.name])
