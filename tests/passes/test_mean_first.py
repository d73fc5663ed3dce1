"""Means move before transposes, and the numbers stay."""

from __future__ import annotations

import numpy as np
import pytest

from tte.driver import run_passes
from tte.interp import interpret
from tte.ir import Builder, Module
from tte.ops.mean import Mean
from tte.ops.transpose import Transpose
from tte.passes.simplify.cancel_transposes import cancel_transposes
from tte.passes.simplify.mean_first import mean_first
from tte.target import load_board
from tte.types import DType, Quant, TensorType

NCHW = (0, 3, 1, 2)


@pytest.mark.parametrize(
    ("ops", "left"),
    [
        ([Transpose(NCHW), Mean((3,)), Mean((2,))], ["mean", "mean", "reshape"]),
        ([Transpose(NCHW), Mean((2, 3))], ["mean", "reshape"]),
        ([Transpose(NCHW), Mean((2, 3), True)], ["mean", "reshape"]),
        ([Transpose(NCHW), Mean((1,))], ["mean", "reshape"]),
        ([Transpose(NCHW), Mean((1, 2))], ["transpose", "mean"]),
        ([Transpose((0, 2, 1, 3)), Mean((1, 2))], ["transpose", "mean"]),
        ([Transpose((3, 1, 2, 0)), Mean((1, 2))], ["mean", "transpose"]),
    ],
)
@pytest.mark.parametrize("dtype", [DType.S8, DType.F32])
def test_the_meaning_stays(ops: list[Mean | Transpose], left: list[str], dtype: DType) -> None:
    rng = np.random.default_rng(0)
    quant = Quant((0.05,), 3) if dtype is DType.S8 else None
    b = Builder("infer")
    shape = (2, 5, 6, 3) if ops[0] == Transpose((3, 1, 2, 0)) else (1, 5, 6, 3)
    x = v = b.input("x", TensorType(shape, dtype, quant))
    for op in ops:
        given = Mean(op.axes, op.keep, Quant((0.04,), -2) if quant else None) if isinstance(op, Mean) else op
        (v,) = b.emit(given, v)
    module = Module("m", (), (b.finish(v),))
    moved = run_passes(module, load_board("host"), (mean_first, cancel_transposes))
    assert [n.op.label() for n in moved.graphs[0].nodes] == left
    image = {"x": rng.integers(-128, 128, x.type.shape).astype(dtype.numpy)}
    expected, got = (interpret(m.graphs[0], image, {})[0] for m in (module, moved))
    np.testing.assert_array_equal(got[v.name], expected[v.name])


def test_a_transpose_with_other_readers_stays() -> None:
    b = Builder("infer")
    x = b.input("x", TensorType((1, 5, 6, 3), DType.F32))
    (t,) = b.emit(Transpose(NCHW), x)
    (m,) = b.emit(Mean((2, 3)), t)
    module = Module("m", (), (b.finish(m, t),))
    assert mean_first(module, load_board("host")) == module
