"""Convolutions as training needs them, of random forms: masks, biases and weights that change, weights in two parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from conftest import usable
from examples import cases, differing

from tte.op import Example
from tte.ops.conv import Conv, split
from tte.running.emulate import build
from tte.types import DType, Quant, Rounding, TensorType


def layer(random: Random) -> Example:
    """Pointwise, depthwise or dense, with scales from dead to large, and perhaps biases that fill 32 bits."""
    kind, c = random.choice(("pointwise", "depthwise", "dense")), random.choice((2, 3, 4, 7, 8, 12, 13))
    k, stride = (1, 1) if kind == "pointwise" else random.choice(((3, 1), (3, 2), (5, 1), (2, 1), (4, 3)))
    co = c if kind == "depthwise" else random.choice((1, 2, 5, 8, 9))
    pads = tuple(random.randrange((k + 1) // 2) for _ in range(4))
    op = Conv(
        (stride, stride),
        (pads[0], pads[1], pads[2], pads[3]),
        low=random.choice((-float("inf"), 0.0)),
        out=Quant((random.choice((0.05, 0.4, 2.0)),), random.choice((-128, -7, 40))),
        rounding=random.choice(tuple(Rounding)),
        masked=random.random() < 0.7,
    )
    scales = Quant(tuple(random.choice((4e-9, 0.002, 0.005, 0.02)) for _ in range(co)), 0, 0)
    shape = (1, random.randrange(k, 9), random.randrange(k, 9), c)
    types = (
        TensorType(shape, DType.S8, Quant((0.05,), random.choice((-128, 3)))),
        TensorType((co, k, k, 1 if kind == "depthwise" else c), DType.S8, scales),
        TensorType((co,), DType.S32),
    )
    e = Example.random(op, *types, below=5000, seed=random.randrange(1000))
    if random.random() < 0.5:
        e.args[2][random.randrange(co)] = random.choice((2**31 - 1, -(2**31), 2**30 + 1, -(2**30)))
    if random.random() < 0.5:
        return replace(e, consts=random.choice(((1,), (), (2,))))
    return split(e, random.randrange(1, c), (3,))


@pytest.mark.parametrize("name", ["host", "cortex-m7", "cortex-m33"])
def test_bits_are_those_of_the_reference(name: str, tmp_path: Path) -> None:
    board, random = usable(name), Random(7)
    compiled, found = cases(board, [layer(random) for _ in range(60)])
    compiled.write(tmp_path)
    wrong = differing(compiled, found, build(tmp_path, board, sanitize=name == "host"), board)
    assert not wrong, "\n".join(wrong)
    assert len({c.kernel for c in found}) >= (2 if name == "host" else 10)
