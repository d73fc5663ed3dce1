"""What is trained runs on the fast kernels, and only what is trained is laid out anew on the device."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tte.ir import Builder, Module
from tte.op import Example
from tte.ops.conv import Conv, split
from tte.passes.select import select
from tte.program import Call
from tte.target import load_board
from tte.types import DType, Quant, TensorType

SINGLE, POINTWISE = (8, 3, 3, 1), (8, 1, 1, 8)


def chosen(w: tuple[int, ...], trained: str, k: int = 0, masked: bool = False) -> Call:
    """The call of a convolution with 8 channels of which some operands lie in sram; k: it has only the first of w."""
    types = (
        TensorType((1, 6, 6, 8), DType.S8, Quant((0.05,), 3)),
        TensorType(w, DType.S8, Quant((0.004,) * 8, 0, 0)),
        TensorType((8,), DType.S32),
    )
    e = Example.random(Conv(out=Quant((0.4,), -7), masked=masked), *types)
    e = split(e, k, ()) if k else e
    b = Builder("infer")
    x, *others = (
        b.constant(e.op.operand(i), t, a) if i else b.input("x", t)
        for i, (t, a) in enumerate(zip(e.ins, e.args, strict=True))
    )
    (y, *_) = b.emit(e.op, x, *others)
    states = (replace(s, storage="sram" if s.value.name in trained else "flash") for s in b.states)
    program = select(Module("m", tuple(states), (b.finish(y),)), load_board("cortex-m7"))
    return program.functions[0].calls[0]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("w", "trained", "k", "symbol"),
    [
        (POINTWISE, "", 0, "tte_pointwise_s8_dsp"),
        (POINTWISE, "b", 0, "tte_pointwise_s8_dsp"),
        (POINTWISE, "w", 0, "tte_pointwise_live_s8_dsp"),
        (POINTWISE, "wb", 4, "tte_pointwise_live_s8_dsp"),
        (SINGLE, "b", 0, "tte_depthwise3_s8_dsp"),
        (SINGLE, "w", 3, "tte_depthwise3_live_s8_dsp"),
        ((8, 5, 5, 1), "wb", 0, "tte_depthwise_live_s8_dsp"),
        ((8, 3, 3, 8), "b", 0, "tte_conv_s8_dsp"),
        ((8, 3, 3, 8), "wb", 2, "tte_conv_live_s8_dsp"),
    ],
)
def test_the_fast_kernel(w: tuple[int, ...], trained: str, k: int, symbol: str, masked: bool) -> None:
    assert chosen(w, trained, k, masked).kernel.symbol == symbol


def test_reasons() -> None:
    def refused(trained: str, symbol: str) -> set[str]:
        return {c.refused for c in chosen(POINTWISE, trained).candidates if c.kernel.symbol == symbol}

    assert "packs w, which must be constant" in refused("w", "tte_pointwise_s8_dsp")
    assert "is for w that changes" in refused("b", "tte_pointwise_live_s8_dsp")
