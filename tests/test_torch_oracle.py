"""The oracle of gradients by itself: against finite differences, and with the device's integers and masks put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch_oracle import gradients, loss, real

from tte.arith import fixed
from tte.interp import interpret
from tte.ir import Builder, Graph, State
from tte.op import Op
from tte.ops.add import Add
from tte.ops.average_pool import AveragePool
from tte.ops.conv import Conv
from tte.ops.dequantize import Dequantize
from tte.ops.linear import Linear
from tte.ops.reshape import Reshape
from tte.types import Array, DType, Quant, Rounding, TensorType, Value

F32, S8, S32 = DType.F32, DType.S8, DType.S32
X, Y, Z = Quant((0.05,), 3), Quant((0.021,), -128), Quant((0.04,), 7)
States = dict[str, Array]


def weights(b: Builder, rng: np.random.Generator, name: str, shape: tuple[int, ...], x: Quant) -> tuple[Value, Value]:
    """Random s8 weights with a scale per channel, and a bias."""
    scales = rng.uniform(0.002, 0.006, shape[0])
    w = TensorType(shape, S8, Quant(tuple(scales), 0, 0))
    bias = TensorType(shape[:1], S32, Quant(tuple(scales * x.scale[0]), 0, 0))
    drawn = rng.integers(-127, 128, shape, np.int8), rng.integers(-2000, 2000, shape[:1]).astype(np.int32)
    return b.constant(f"{name}_w", w, drawn[0]), b.constant(f"{name}_b", bias, drawn[1])


def network(seed: int) -> tuple[Graph, tuple[State, ...], Array]:
    """Expand, depthwise, project, a residual edge, a pool, a float classifier; and an image."""
    rng, b, onnx = np.random.default_rng(seed), Builder("train_step"), Rounding.ONNX
    x = b.input("x", TensorType((1, 5, 5, 4), S8, X))
    (h,) = b.emit(Conv(out=Y, rounding=onnx), x, *weights(b, rng, "expand", (6, 1, 1, 4), X), name="h")
    wide = Conv(pads=(1, 1, 1, 1), low=0.0, high=4.0, out=Y, rounding=onnx)
    (d,) = b.emit(wide, h, *weights(b, rng, "depthwise", (6, 3, 3, 1), Y), name="d")
    (p,) = b.emit(Conv(out=Z, rounding=onnx), d, *weights(b, rng, "project", (4, 1, 1, 6), Y), name="back")
    (r,) = b.emit(Add(out=Z, rounding=onnx), x, p, name="r")
    (m,) = b.emit(AveragePool((5, 5), out=Z, rounding=onnx), r, name="m")
    (f,) = b.emit(Dequantize(), b.emit(Reshape((1, 4)), m)[0])
    head = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    w, c = (b.constant(n, TensorType(a.shape, F32), a) for n, a in zip(("head_w", "head_b"), head, strict=True))
    (y,) = b.emit(Linear(), f, w, c, name="logits")
    return b.finish(y), tuple(b.states), rng.integers(-128, 128, (1, 5, 5, 4), np.int8)


def floats(graph: Graph) -> Graph:
    """The same over reals: nothing is rounded, and clamped only where an int8 would be."""

    def retype(v: Value) -> Value:
        return replace(v, type=TensorType(v.type.shape, F32))

    def reals(op: Op, y: TensorType) -> Op:
        if isinstance(op, Dequantize):
            return Reshape(y.shape)
        if not isinstance(op, (Conv, Add, AveragePool)):
            return op
        s, z = y.scaling.scale[0], y.scaling.zero
        ends = fixed.clamp(op.low, op.high, y.scaling, op.rounding)
        return replace(op, low=s * (ends["lo"] - 0.5 - z), high=s * (ends["hi"] + 0.5 - z), out=None)

    nodes = tuple(
        replace(n, op=reals(n.op, n.outs[0].type), ins=tuple(map(retype, n.ins)), outs=tuple(map(retype, n.outs)))
        for n in graph.nodes
    )
    return replace(graph, ins=tuple(map(retype, graph.ins)), outs=tuple(map(retype, graph.outs)), nodes=nodes)


@pytest.mark.parametrize("label", [np.array([1], np.int32), np.array([[0.5, -1.0, 2.0]], np.float32)])
@pytest.mark.parametrize("seed", range(3))
def test_finite_differences(seed: int, label: Array) -> None:
    """Without rounding it is the gradient of the interpreter's own float graph, residual edge and clamps included."""
    graph, states, image = network(seed)
    init = {s.value.name: s.init for s in states}
    found = gradients(graph, init, {"x": image}, label)
    assert found.keys() == init.keys()
    twin, rng = floats(graph), np.random.default_rng(seed)
    at = {s.value.name: real(s.init, s.value.type) for s in states}
    given = {"x": real(image, graph.ins[0].type)}

    def value(states: States) -> float:
        (y,) = interpret(twin, given, states)[0].values()
        return float(loss(torch.tensor(y), label))

    for name, g in found.items():
        step = rng.normal(size=g.shape) * 1e-6 * (np.abs(at[name]).max() + 1e-3)
        slope = value(at | {name: at[name] + step}) - value(at | {name: at[name] - step})
        assert slope / 2 == pytest.approx((g * step).sum(), rel=1e-4, abs=1e-12), name


def single(rng: np.random.Generator) -> tuple[Graph, States, Value, Array]:
    """One convolution with scales whose products are exact, its states, its integers, and an image."""
    b = Builder("g")
    x = b.input("image", TensorType((1, 2, 3, 4), S8, Quant((0.0625,), 3)))
    scales = tuple(rng.integers(8, 32, 5) / 4096)
    w = b.constant(
        "weight", TensorType((5, 1, 1, 4), S8, Quant(scales, 0, 0)), rng.integers(-127, 128, (5, 1, 1, 4), np.int8)
    )
    quant = Quant(tuple(s / 16 for s in scales), 0, 0)
    c = b.constant("bias", TensorType((5,), S32, quant), rng.integers(-2000, 2000, 5).astype(np.int32))
    (y,) = b.emit(Conv(out=Quant((0.03125,), 7), rounding=Rounding.ONNX), x, w, c, name="result")
    graph = b.finish(*b.emit(Dequantize(), y))
    return graph, {s.value.name: s.init for s in b.states}, y, rng.integers(-128, 128, x.type.shape, np.int8)


def test_the_devices_integers_and_masks_are_put_in() -> None:
    """Integers and a mask that no forward would give: the formulas of DESIGN 5, in numpy."""
    rng = np.random.default_rng(5)
    graph, init, y, image = single(rng)
    forced, mask = rng.integers(-128, 128, y.type.shape, np.int8), rng.integers(0, 2, y.type.shape, np.uint8)
    target = rng.normal(size=y.type.shape)
    found = gradients(graph, init, {"image": image}, target, {"result": forced}, {"result": mask})
    g = mask * 2 * (real(forced, y.type) - target) / target.size
    xs = 0.0625 * (image.astype(np.float64) - 3)
    np.testing.assert_allclose(found["weight"][:, 0, 0], np.einsum("nhwo,nhwc->oc", g, xs), rtol=1e-12)
    np.testing.assert_allclose(found["bias"], g.sum((0, 1, 2)), rtol=1e-12)


def test_scaling_of_integer_gradients_falls_out() -> None:
    """RECIPES: G_w / s_w**2 and G_b / (s_w * s_x)**2, of the graph over integers, are the reals' step in integers."""
    rng = np.random.default_rng(6)
    graph, init, y, image = single(rng)
    (forced,) = graph.nodes[0].op.reference((image, init["weight"], init["bias"]), *graph.nodes[0].types)
    target = rng.normal(size=y.type.shape)
    found = gradients(graph, init, {"image": image}, target, {"result": forced})
    w, b = (torch.tensor(init[k].astype(np.float64), requires_grad=True) for k in ("weight", "bias"))
    s_w = np.asarray(graph.nodes[0].ins[1].type.scaling.scale)
    sums = torch.einsum("nhwc,oc->nhwo", torch.tensor(image.astype(np.float64) - 3), w[:, 0, 0]) + b
    q = sums * torch.tensor(s_w * 0.0625 / 0.03125) + 7
    rounded = q + (q.round() - q).detach()
    (((rounded.clamp(-128, 127) - 7) * 0.03125 - torch.tensor(target)) ** 2).mean().backward()
    assert ((q < -128.5) | (q > 127.5)).any()
    assert w.grad is not None and b.grad is not None
    step = found["weight"] / s_w[:, None, None, None]
    np.testing.assert_allclose(w.grad.numpy() / s_w[:, None, None, None] ** 2, step, rtol=1e-12)
    np.testing.assert_allclose(b.grad.numpy() / (s_w * 0.0625) ** 2, found["bias"] / (s_w * 0.0625), rtol=1e-12)
