"""Gradients of ops against finite differences and torch.autograd, both in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from tte.interp import interpret
from tte.ir import Builder
from tte.op import Op, Types
from tte.ops.add import Add, Sub
from tte.ops.average_pool import AveragePool
from tte.ops.clamp import Clamp
from tte.ops.concat import Concat
from tte.ops.conv import Conv
from tte.ops.dequantize import Dequantize
from tte.ops.hard_sigmoid import HardSigmoid
from tte.ops.hard_swish import HardSwish
from tte.ops.leaky_relu import LeakyRelu
from tte.ops.max_pool import MaxPool
from tte.ops.mean import Mean
from tte.ops.mean_squared_error import MeanSquaredError
from tte.ops.mul import Mul
from tte.ops.pad import Pad
from tte.ops.quantize import Quantize
from tte.ops.requantize import Requantize
from tte.ops.reshape import Reshape
from tte.ops.resize_nearest import ResizeNearest
from tte.ops.sigmoid import Sigmoid
from tte.ops.softmax import Softmax
from tte.ops.softmax_cross_entropy import SoftmaxCrossEntropy
from tte.ops.tanh import Tanh
from tte.ops.transpose import Transpose
from tte.types import Array, DType, Quant, Rounding, TensorType

F32, S8, S32 = DType.F32, DType.S8, DType.S32
SAME = (1, 1, 1, 1)


def f32(*shape: int) -> TensorType:
    return TensorType(shape, F32)


def drawn(types: Types, seed: int = 0) -> list[Array]:
    """Normal floats in float64; integers of the whole range, but s32 below 1000."""
    rng = np.random.default_rng(seed)
    found: list[Array] = []
    for t in types:
        low, high = (-1000, 1000) if t.dtype is S32 else (-128, 128)
        integers = rng.integers(low, high, t.shape).astype(t.dtype.numpy)
        found.append(rng.standard_normal(t.shape) if t.dtype is F32 else integers)
    return found


def gradients(op: Op, types: Types, args: list[Array], grad: Array) -> tuple[list[Array | None], list[Array]]:
    """What the op's rule gives for each input, given the gradient of result 0; and the results."""
    b = Builder("g")
    ins = [b.input(f"in{i}", t) for i, t in enumerate(types)]
    outs = b.emit(op, *ins)
    given = b.input("grad", f32(*outs[0].type.shape))
    found = op.vjp(b, (given, *(None for _ in outs[1:])), tuple(ins), outs)
    assert len(found) == len(ins)
    kept = [v for v in found if v is not None]
    graph = b.finish(*outs, *kept)
    arrays = {v.name: a for v, a in zip(ins, args, strict=True)} | {"grad": grad}
    states = {s.value.name: s.init for s in b.states}
    results, _ = interpret(graph, arrays, states)
    for v, t in zip(found, types, strict=True):
        assert v is None or v.type == f32(*t.shape)
    return [None if v is None else results[v.name] for v in found], [results[v.name] for v in outs]


FLOATS: list[tuple[Op, Types]] = [
    (Conv(), (f32(1, 3, 4, 5), f32(6, 1, 1, 5), f32(6))),
    (Conv((2, 2), (1, 0, 1, 2), (1, 2), 0.0), (f32(1, 7, 8, 3), f32(4, 3, 2, 3), f32(4))),
    (Conv(pads=SAME, low=-1.0, high=1.5), (f32(1, 4, 5, 6), f32(6, 3, 3, 1), f32(6))),
    (Conv(pads=SAME), (f32(1, 4, 5, 3), f32(4, 3, 3, 2), f32(4), f32(4, 3, 3, 1))),
    (Add(low=0.0), (f32(2, 9), f32(2, 9))),
    (Add(), (f32(1, 3, 4, 5), f32(5))),
    (Sub(high=0.5), (f32(2, 3, 1), f32(3, 4))),
    (Mul(-0.5, 1.0), (f32(1, 3, 4, 5), f32(1, 1, 1, 5))),
    (Mul(), (f32(7), f32(7))),
    (AveragePool((3, 2), (2, 1), (1, 0, 1, 1), 0.0), (f32(1, 5, 6, 4),)),
    (AveragePool((2, 2), (3, 3), (1, 1, 0, 0), padded=True), (f32(1, 6, 6, 2),)),
    (Mean((1, 2)), (f32(1, 3, 4, 5),)),
    (Mean((1,), True), (f32(3, 4, 2),)),
    (Reshape((4, 6)), (f32(2, 3, 4),)),
    (Transpose((2, 0, 1)), (f32(2, 3, 4),)),
    (MeanSquaredError(), (f32(1, 6), f32(1, 6))),
    (MaxPool((3, 2), (1, 2), (1, 0, 0, 1), -0.5, 1.5), (f32(1, 5, 6, 3),)),
    (Pad((0, 1, 2, 0), (0, 0, 1, 1)), (f32(1, 3, 4, 2),)),
    (Concat(2), (f32(1, 2, 3, 2), f32(1, 2, 1, 2), f32(1, 2, 2, 2))),
    (Clamp(-0.5, 1.0), (f32(3, 7),)),
    (Sigmoid(), (f32(3, 7),)),
    (Tanh(), (f32(3, 7),)),
    (HardSwish(), (f32(9, 7),)),
    (HardSigmoid(0.7, 0.3), (f32(9, 7),)),
    (LeakyRelu(0.3), (f32(3, 7),)),
    (Softmax(1.5), (f32(3, 7),)),
    (ResizeNearest((0, 0, 1, 2, 2), (0, 2, 2)), (f32(1, 3, 4, 2),)),
]


@pytest.mark.parametrize(("op", "types"), FLOATS, ids=str)
def test_of_floats_by_finite_differences(op: Op, types: Types) -> None:
    args, (outs, *_) = drawn(types), op.results(*types)
    grad = np.ones(1) if isinstance(op, MeanSquaredError) else drawn((outs,), 1)[0]
    found, _ = gradients(op, types, args, grad)

    def objective() -> float:
        return float((op.reference(tuple(args), types, op.results(*types))[0] * grad).sum())

    for array, given in zip(args, found, strict=True):
        if given is None:
            continue
        want = np.zeros(array.shape)
        for i in np.ndindex(*array.shape):
            kept, eps = array[i], 1e-6
            array[i] = kept + eps
            up = objective()
            array[i] = kept - eps
            want[i] = (up - objective()) / (2 * eps)
            array[i] = kept
        np.testing.assert_allclose(given, want, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("label", [0, 3, 6])
def test_cross_entropy(label: int) -> None:
    types = (f32(1, 7), TensorType((1,), S32))
    logits, at = drawn(types)[0] * 3, np.array([label], np.int32)
    (found, of_label), (loss, scores) = gradients(SoftmaxCrossEntropy(), types, [logits, at], np.ones(1))
    x = torch.tensor(logits, requires_grad=True)
    want = functional.cross_entropy(x, torch.tensor(at, dtype=torch.int64))
    want.backward()
    assert of_label is None
    assert found is not None
    assert x.grad is not None
    np.testing.assert_allclose(found, x.grad.numpy(), atol=1e-6)
    np.testing.assert_allclose(loss, want.item(), rtol=1e-6)
    np.testing.assert_allclose(scores, torch.softmax(x, 1).detach().numpy(), rtol=1e-6)


INTEGERS: list[tuple[Conv, tuple[int, ...], tuple[int, ...], int]] = [
    (Conv(masked=True, out=Quant((0.02,), 5)), (1, 3, 4, 6), (5, 1, 1, 6), 0),
    (Conv(masked=True, out=Quant((0.02,), 5)), (1, 3, 4, 6), (5, 1, 1, 6), 2),
    (Conv((2, 2), SAME, masked=True, out=Quant((0.004,), -5), rounding=Rounding.ONNX), (1, 6, 7, 4), (4, 3, 3, 1), 0),
    (Conv((1, 1), (1, 2, 2, 1), masked=True, out=Quant((0.004,), 9)), (1, 5, 6, 4), (4, 3, 3, 1), 3),
    (Conv((2, 1), SAME, (1, 2), masked=True, low=0.0, out=Quant((0.1,), -128)), (1, 6, 7, 3), (4, 3, 2, 3), 1),
]


@pytest.mark.parametrize(("op", "x_shape", "w_shape", "k"), INTEGERS, ids=str)
def test_of_quantised_convolutions_by_torch(
    op: Conv, x_shape: tuple[int, ...], w_shape: tuple[int, ...], k: int
) -> None:
    """k > 0: the weights are split behind k channels. The oracle computes with reals, and is given the mask."""
    s_x, s_w = Quant((0.03,), -11), tuple(0.001 * (i + 1) for i in range(w_shape[0]))
    x, w, b = TensorType(x_shape, S8, s_x), TensorType(w_shape, S8, Quant(s_w, 0, 0)), TensorType(w_shape[:1], S32)
    args, axis = drawn((x, w, b)), 0 if w_shape[3] == 1 else 3
    types: Types = (x, w, b)
    given = list(args)
    if k:
        parts = np.split(args[1], [k], axis)
        scales = (s_w[:k], s_w[k:]) if axis == 0 else (s_w, s_w)
        first, rest = (TensorType(p.shape, S8, Quant(s, 0, 0)) for p, s in zip(parts, scales, strict=True))
        types, given = (x, first, b, rest), [args[0], parts[0], args[2], parts[1]]
    out = op.results(*types)[0]
    grad = drawn((f32(*out.shape),), 1)[0]
    found, (_, mask) = gradients(op, types, given, grad)
    assert 0 < mask.mean() < 1
    scale = np.array(s_w, np.float32).astype(float)
    reals = (args[0].astype(float) + 11) * np.float32(0.03), args[1] * scale[:, None, None, None], args[2] * 1.0
    tx, tw, tb = (torch.tensor(r, requires_grad=True) for r in reals)
    top, left, bottom, right = op.pads
    padded = functional.pad(tx.permute(0, 3, 1, 2), (left, right, top, bottom))
    groups = w_shape[0] if axis == 0 else 1
    y = functional.conv2d(padded, tw.permute(0, 3, 1, 2), tb, op.stride, 0, op.dilation, groups)
    (y.permute(0, 2, 3, 1) * torch.tensor(grad * mask)).sum().backward()
    want = [t.grad.numpy() for t in (tx, tw, tb) if t.grad is not None]
    want[1] = np.split(want[1], [k], axis)[0] if k else want[1]
    for ours, theirs in zip(found[:3], want, strict=True):
        assert ours is not None
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6 * math.sqrt(float((theirs**2).mean())))
    assert len(found) == 3 or found[3] is None


RANGE = Quant((0.03,), -20)


@pytest.mark.parametrize(
    ("op", "real"),
    [
        (Clamp(-1.0, 1.5, out=Quant((0.01,), 0)), lambda x: x.clamp(-1.0, 1.5)),
        (Sigmoid(Quant((1 / 256,), -128)), torch.sigmoid),
        (Tanh(Quant((1 / 128,))), torch.tanh),
        (HardSwish(Quant((0.02,), -100)), functional.hardswish),
        (HardSigmoid(1 / 6, 0.5, Quant((1 / 256,), -128)), functional.hardsigmoid),
        (LeakyRelu(0.25, Quant((0.03,), -12)), lambda x: functional.leaky_relu(x, 0.25)),
    ],
    ids=lambda x: str(x) if isinstance(x, Op) else "",
)
def test_of_integers_by_tables(op: Op, real: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Every integer, straight through rounding; those whose result leaves the range of s8 have no gradient."""
    t = TensorType((256,), S8, RANGE)
    every = np.arange(-128, 128).astype(np.int8)
    out = op.results(t)[0].scaling
    grad = drawn((f32(256),), 1)[0]
    (found,), _ = gradients(op, (t,), [every], grad)
    x = torch.tensor((every.astype(float) + 20) * np.float32(0.03), requires_grad=True)
    y = real(x)
    inside = np.round(y.detach().numpy() / np.float32(out.scale[0])) + out.zero
    (y * torch.tensor(grad * ((inside >= -128) & (inside <= 127)))).sum().backward()
    assert found is not None
    assert x.grad is not None
    np.testing.assert_allclose(found, x.grad.numpy(), rtol=1e-5, atol=1e-5)
    assert 0 < (found != 0).mean() <= 1


def test_of_integers_under_a_pool() -> None:
    """Maximum pooling with relu: where relu cut there is no gradient, at zero itself there is."""
    t = TensorType((1, 4, 4, 2), S8, Quant((0.1,), 3))
    x = np.minimum(drawn((t,))[0], 10)
    x[0, :2, :2, 0] = (3, 1), (2, 0)
    x[0, :2, :2, 1] = 2
    grad = np.ones((1, 2, 2, 2))
    (found,), _ = gradients(MaxPool((2, 2), (2, 2), low=0.0), (t,), [x], grad)
    assert found is not None
    assert found[0, 0, 0, 0] == 1
    assert not found[0, :2, :2, 1].any()
    windows = x.reshape(2, 2, 2, 2, 2).max((1, 3))
    assert found.sum() == (windows >= 3).sum()


A, B = Quant((0.05,), 3), Quant((0.03,), -20)
MASKED: list[tuple[Op, Types, Callable[..., torch.Tensor]]] = [
    (Add(out=Quant((0.04,), 9), masked=True), (TensorType((1, 3, 4), S8, A), TensorType((4,), S8, B)), torch.add),
    (Sub(0.0, out=Quant((0.04,), -128), masked=True), (TensorType((3, 4), S8, A),) * 2, torch.sub),
    (Mul(out=Quant((0.1,), 0), masked=True), (TensorType((3, 4), S8, A), TensorType((3, 1), S8, B)), torch.mul),
    (Requantize(Quant((0.02,), 5), masked=True), (TensorType((9, 7), S8, A),), lambda x: x),
    (Quantize(Quant((0.004,), 5), masked=True), (f32(9, 7),), lambda x: x),
    (Dequantize(), (TensorType((9, 7), S8, A),), lambda x: x),
    (Mean((1, 2), out=Quant((0.005,), 7), masked=True), (TensorType((1, 3, 4, 9), S8, A),), lambda x: x.mean((1, 2))),
    (
        AveragePool((2, 2), (2, 2), low=-1.0, high=0.5, masked=True),
        (TensorType((1, 4, 6, 5), S8, A),),
        lambda x: functional.avg_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1),
    ),
]


@pytest.mark.parametrize(("op", "types", "real"), MASKED, ids=lambda x: x.label() if isinstance(x, Op) else "")
def test_of_masked_integers_by_torch(op: Op, types: Types, real: Callable[..., torch.Tensor]) -> None:
    """The oracle computes with reals, and is given the mask."""
    args = drawn(types)
    grad = drawn((f32(*op.results(*types)[0].shape),), 1)[0]
    found, (_, *masks) = gradients(op, types, args, grad)
    assert all(0 < m.mean() < 1 for m in masks)
    reals: list[torch.Tensor] = []
    for a, t in zip(args, types, strict=True):
        real_of = (a.astype(float) - t.quant.zero) * t.quant.scale[0] if t.quant else a
        reals.append(torch.tensor(real_of, requires_grad=True))
    (real(*reals) * torch.tensor(math.prod(masks, start=grad))).sum().backward()
    for ours, x in zip(found, reals, strict=True):
        assert ours is not None
        assert x.grad is not None
        np.testing.assert_allclose(ours, x.grad.numpy(), rtol=1e-6, atol=1e-9)
