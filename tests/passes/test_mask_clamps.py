"""Masks: only where a gradient passes, the result unchanged, and right by an oracle that we didn't write."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tte.interp import interpret
from tte.ir import Builder, Graph, Module, verify
from tte.op import Example
from tte.ops.add import Add
from tte.ops.average_pool import AveragePool
from tte.ops.conv import Conv
from tte.ops.dequantize import Dequantize
from tte.passes.training.autodiff import active
from tte.passes.training.mask_clamps import mask_clamps
from tte.types import Array, DType, Quant, Rounding, TensorType

S8, S32 = DType.S8, DType.S32
Q = Quant((0.05,), 3)


def network() -> tuple[Module, Graph]:
    """Two convolutions with a residual edge and a mean; the second one's bias is trained."""
    b = Builder("infer")
    x = b.input("x", TensorType((1, 5, 5, 4), S8, Q))
    w = b.constant("w", TensorType((4, 1, 1, 4), S8, Quant((0.02,))), np.full((4, 1, 1, 4), 99, np.int8))
    b1, b2 = (b.constant(f"b{i}", TensorType((4,), S32), np.full(4, 50, np.int32)) for i in (1, 2))
    (h,) = b.emit(Conv(out=Q), x, w, b1, name="h")
    (t,) = b.emit(Conv(low=0.0, out=Q), h, w, b2, name="second")
    (s,) = b.emit(Add(out=Q), h, t, name="s")
    (m,) = b.emit(AveragePool((5, 5)), s, name="m")
    (y,) = b.emit(Dequantize(), m, name="y")
    graph = b.finish(y)
    return Module("m", tuple(b.states), (graph,)), mask_clamps(graph, active(graph.nodes, [b2]))


def test_only_active_integers_that_clamp_are_masked() -> None:
    module, graph = network()
    verify(replace(module, graphs=(graph,)))
    masked = {n.outs[0].name: n.outs[1].name for n in graph.nodes if len(n.outs) == 2}
    assert masked == {"second": "second_mask", "s": "s_mask"}
    assert mask_clamps(graph, ()) == graph


def test_the_results_stay() -> None:
    module, graph = network()
    states, x = (
        {s.value.name: s.init for s in module.states},
        Example.random(Add(), module.graphs[0].ins[0].type).args[0],
    )
    before, after = (interpret(g, {"x": x}, states)[0] for g in (module.graphs[0], graph))
    np.testing.assert_array_equal(after["y"], before["y"])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    stride=st.integers(1, 2),
    kernel=st.integers(1, 3),
    single=st.booleans(),
    rounding=st.sampled_from(Rounding),
    low=st.sampled_from([-np.inf, 0.0]),
    parts=st.booleans(),
)
def test_convolutions_are_those_of_torch(
    seed: int, stride: int, kernel: int, single: bool, rounding: Rounding, low: float, parts: bool
) -> None:
    """Sums by torch in float64, which are exact; the mask is 1 where their real value lies well within the clamp."""
    rng = np.random.default_rng(seed)
    c, pad = int(rng.integers(2, 7)), kernel // 2
    co = c if single else int(rng.integers(1, 6))
    scales = tuple(rng.uniform(0.001, 0.01, co).tolist())
    op = Conv((stride, stride), (pad,) * 4, low=low, out=Quant((float(rng.uniform(0.01, 0.3)),), -5), rounding=rounding)
    shape = (co, kernel, kernel, 1 if single else c)
    types = TensorType((1, 5, 6, c), S8, Q), TensorType(shape, S8, Quant(scales, 0, 0)), TensorType((co,), S32)
    e = Example.random(op, *types, below=20000, seed=seed)
    given, args = e.ins, e.args
    if parts:
        given, args = split(e, 0 if single else 3, int(rng.integers(1, c)))
    masked = replace(op, masked=True)
    (plain,) = op.reference(e.args, e.ins, op.results(*e.ins))
    y, mask = masked.reference(args, given, masked.results(*given))
    np.testing.assert_array_equal(y, plain)
    np.testing.assert_array_equal(op.reference(args, given, op.results(*given))[0], plain)
    x, w = (torch.from_numpy(v.astype(np.float64)) for v in (e.args[0] - np.int64(Q.zero), e.args[1]))
    sums = torch.conv2d(
        x.permute(0, 3, 1, 2),
        w.permute(0, 3, 1, 2),
        torch.from_numpy(e.args[2]).double(),
        stride,
        pad,
        1,
        c if single else 1,
    )
    out = op.out or Q
    real = sums.permute(0, 2, 3, 1).numpy() * Q.scale[0] * np.asarray(scales) / out.scale[0] + out.zero
    least = -128 if low == -np.inf else out.zero
    inside, outside = (real > least - 0.4) & (real < 127.4), (real < least - 0.6) | (real > 127.6)
    assert mask[inside].all() and not mask[outside].any()


def split(e: Example, axis: int, k: int) -> tuple[tuple[TensorType, ...], tuple[Array, ...]]:
    """Weights in two parts."""
    x, w, b = e.ins
    first, rest = np.split(e.args[1], [k], axis)
    at = (slice(0, k), slice(k, None)) if axis == 0 else (slice(None),) * 2
    types = [
        replace(w, shape=p.shape, quant=Quant(w.scaling.scale[a], 0, 0)) for p, a in zip((first, rest), at, strict=True)
    ]
    return (x, types[0], b, types[1]), (e.args[0], first, e.args[2], rest)


@pytest.mark.parametrize("rounding", Rounding)
def test_sums_are_those_of_floats(rounding: Rounding) -> None:
    a, b = TensorType((1, 40, 40, 3), S8, Quant((0.05,), 3)), TensorType((1, 40, 40, 3), S8, Quant((0.07,), -20))
    op = Add(low=-2.0, out=Quant((0.06,), 9), rounding=rounding, masked=True)
    e = Example.random(op, a, b)
    y, mask = op.reference(e.args, e.ins, op.results(*e.ins))
    p, q = (v.astype(np.float64) for v in e.args)
    real = ((p - 3) * 0.05 + (q + 20) * 0.07) / 0.06 + 9
    least = round(-2 / 0.06) + 9
    clear = (abs(real - least + 0.5) > 0.05) & (abs(real - 127.5) > 0.05)
    expected = (real > least - 0.5) & (real < 127.5)
    np.testing.assert_array_equal(mask[clear], expected[clear])
    assert 0.1 < mask.mean() < 0.9 and clear.mean() > 0.99 and y.min() == least
