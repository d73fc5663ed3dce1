"""Constants that the Helium kernels cannot take are refused with a reason, and another kernel computes the layer."""

from __future__ import annotations

import numpy as np

from tte.ir import Builder, Module
from tte.op import Example
from tte.ops.conv import Conv
from tte.passes.select import select
from tte.program import Call
from tte.target import load_board
from tte.types import DType, Quant, TensorType

X, Y = Quant((0.05,), 3), Quant((0.4,), -7)


def chosen(w: tuple[int, ...], first: int, bias: int, scale: float) -> Call:
    """The call for a convolution whose weights are 1 but for the first one."""
    b = Builder("infer")
    types = (
        TensorType((1, 4, 4, w[0]), DType.S8, X),
        TensorType(w, DType.S8, Quant((scale,))),
        TensorType(w[:1], DType.S32),
    )
    args = Example.random(Conv(out=Y), *types).args
    weights, biases = np.ones_like(args[1]), np.full_like(args[2], bias)
    weights.flat[0] = first
    values = b.input("x", types[0]), b.constant("w", types[1], weights), b.constant("b", types[2], biases)
    graph = b.finish(*b.emit(Conv(out=Y), *values))
    return select(Module("m", tuple(b.states), (graph,)), load_board("cortex-m55")).functions[0].calls[0]


def refused(call: Call, symbol: str) -> str:
    return next(c.refused for c in call.candidates if c.kernel.symbol == symbol)


def test_two_products_must_fit_16_bits() -> None:
    assert chosen((8, 3, 3, 1), -127, 0, 0.004).kernel.symbol == "tte_depthwise_s8_mve"
    call = chosen((8, 3, 3, 1), -128, 0, 0.004)
    assert call.kernel.symbol == "tte_depthwise_s8"
    assert "-128" in refused(call, "tte_depthwise_s8_mve")


def test_a_dead_channel_is_taken_if_its_result_is_constant() -> None:
    assert chosen((8, 1, 1, 8), 1, -(2**31), 4e-9).kernel.symbol == "tte_pointwise_s8_mve"


def test_sums_must_fit_32_bits() -> None:
    call = chosen((8, 1, 1, 8), 1, -(2**31), 1.5 / 2**31 * 0.4 / 0.05)
    assert call.kernel.symbol == "tte_conv_s8"
    assert "no room" in refused(call, "tte_pointwise_s8_mve")
