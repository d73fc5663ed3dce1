"""Quantised networks against ONNX Runtime: node by node and in the end, in every form that its quantiser writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import usable
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnx_models import NETS, Net, quantized
from onnx_oracle import everything, folded, node_by_node, run, session, tensors

from tte.driver import Options, compile_model
from tte.frontend.onnx import import_onnx
from tte.running.emulate import build, infer
from tte.types import Array, DType

FORMS = [
    (unsigned, per_channel, qdq) for unsigned in (False, True) for per_channel in (False, True) for qdq in (False, True)
]


def drawn(model: onnx.ModelProto, seed: int) -> Array:
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def agree(model: onnx.ModelProto, feeds: dict[str, Array], least: int) -> None:
    """Each node on ONNX Runtime's inputs, `least` of them, and the outputs of the whole."""
    module, found = folded(model.SerializeToString()), tensors(everything(model), feeds)
    compared = [c for c in node_by_node(module, model, found) if c.ours.dtype == np.int8]
    assert len(compared) >= least
    for c in compared:
        assert c.wrong == 0, str(c.node)
    for ours, port in zip(run(module, feeds), model.graph.output, strict=True):
        theirs = found[port.name]
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "form", FORMS, ids=lambda f: f"{'us'[not f[0]]}8-{'channel' if f[1] else 'tensor'}-{'qdq' if f[2] else 'qop'}"
)
@pytest.mark.parametrize("net", NETS)
def test_quantised_networks(net: str, form: tuple[bool, bool, bool]) -> None:
    model = quantized(NETS[net](0), *form)
    agree(model, {"x": drawn(model, 5)}, 4)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1, 13))
@pytest.mark.parametrize("net", NETS)
def test_more_quantised_networks(net: str, seed: int) -> None:
    model = quantized(NETS[net](seed), *FORMS[seed % len(FORMS)])
    agree(model, {"x": drawn(model, seed)}, 4)


@pytest.mark.parametrize("opset", [15, 18, 19, 21, 23])
@pytest.mark.parametrize("net", NETS)
def test_float_networks_of_every_opset(net: str, opset: int) -> None:
    model = version_converter.convert_version(NETS[net](1), opset)
    model.ir_version = 8 if opset < 19 else 10
    agree(model, {"x": drawn(model, 3)}, 0)


def test_the_forms_of_opset_9() -> None:
    """What later are inputs are attributes; a softmax goes over all axes from one on."""
    n = Net(0, (1, 3, 6, 6), 9)
    a = n.add("Clip", n.conv("x", 3, 4, auto_pad="SAME_LOWER", pads=None, strides=[2, 2]), min=-0.5, max=0.5)
    b = n.add("Upsample", a, n.constant(np.float32([1, 1, 2, 2])), mode="nearest")
    c = n.add(
        "Slice", n.add("Pad", b, pads=[0, 1, 0, 0, 0, 0, 2, 1], value=0.25), starts=[1, -6], ends=[8, 9999], axes=[2, 3]
    )
    d = n.add("Dropout", n.add("Unsqueeze", n.add("ReduceMean", c, axes=[2, 3], keepdims=0), axes=[2]), ratio=0.3)
    e = n.add("Softmax", n.add("Mul", n.add("Squeeze", d, axes=[2]), n.constant(np.float32(3))))
    model = n.model(e, n.add("Softmax", c, axis=1))
    agree(model, {"x": drawn(model, 3)}, 0)


@pytest.mark.parametrize("net", NETS)
def test_the_host_computes_what_the_interpreter_does(net: str, tmp_path: Path) -> None:
    model, board = quantized(NETS[net](3), True, True, True), usable("host")
    x, module = drawn(model, 1), import_onnx(model.SerializeToString(), "m")
    compiled = compile_model(module, board, Options(io=frozenset({"quantized"})))
    compiled.write(tmp_path)
    outs = infer(compiled.module, build(tmp_path, board), board, [(x,)], count=False).outputs[0]
    for a, b in zip(outs, run(folded(model.SerializeToString()), {"x": x}), strict=True):
        np.testing.assert_array_equal(a, b)


class Qdq:
    """A QDQ network written by hand."""

    def __init__(self, shape: tuple[int, ...], dtype: int = TensorProto.FLOAT) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.x = helper.make_tensor_value_info("x", dtype, shape)
        self.rng = np.random.default_rng(0)

    def constant(self, value: object, dtype: str = "f4") -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, op: str, *ins: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, list(ins), [f"t{len(self.nodes)}"], **attributes))
        return f"t{len(self.nodes) - 1}"

    def q(self, x: str, scale: float, zero: int, code: str = "i1") -> str:
        return self.add("QuantizeLinear", x, self.constant(scale), self.constant(zero, code))

    def dq(self, x: str, scale: float, zero: int, code: str = "i1") -> str:
        return self.add("DequantizeLinear", x, self.constant(scale), self.constant(zero, code))

    def fake(self, x: str, scale: float, zero: int = 0) -> str:
        return self.dq(self.q(x, scale, zero), scale, zero)

    def conv(self, x: str, scale: float, ci: int, co: int) -> str:
        """With a bias at the scale of x times that of the weights."""
        w = self.constant(self.rng.integers(-127, 128, (co, ci, 3, 3)), "i1")
        s = np.float32(0.01) * np.arange(1, co + 1, dtype=np.float32)
        wr = self.add("DequantizeLinear", w, self.constant(s), self.constant(np.zeros(co), "i1"), axis=0)
        b = self.constant(self.rng.integers(-3000, 3000, co), "i4")
        br = self.add("DequantizeLinear", b, self.constant(s * np.float32(scale)), axis=0)
        return self.add("Conv", x, wr, br, pads=[1, 1, 1, 1])

    def model(self, *outs: tuple[str, int]) -> onnx.ModelProto:
        ports = [helper.make_tensor_value_info(n, t, None) for n, t in outs]
        graph = helper.make_graph(self.nodes, "g", [self.x], ports, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


F, S8, U8 = TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8


def test_a_layer_that_several_read() -> None:
    """Two scales of one sum, a float that leaves the network, and a second layer."""
    n = Qdq((1, 3, 6, 6))
    y = n.conv(n.fake("x", 0.05, 3), 0.05, 3, 4)
    a, b = n.q(y, 0.4, 5), n.q(y, 0.7, -9)
    z = n.conv(n.dq(a, 0.4, 5), 0.4, 4, 4)
    out = n.fake(n.add("Add", n.dq(b, 0.7, -9), n.add("Relu", z)), 2.0, -20)
    model = n.model((y, F), (out, F), (a, S8))
    agree(model, {"x": drawn(model, 2)}, 3)


def test_a_layer_that_two_quantise_is_computed_in_integers_only() -> None:
    n = Qdq((1, 3, 6, 6))
    y = n.conv(n.fake("x", 0.05, 3), 0.05, 3, 4)
    model = n.model((n.q(y, 0.4, 5), S8), (n.q(y, 0.7, -9), S8), (n.q(y, 0.4, 5), S8))
    graph = folded(model.SerializeToString()).graph("infer")
    convs = [node for node in graph.nodes if node.op.label() == "conv"]
    assert len(convs) == 2
    assert all(node.outs[0].type.dtype is DType.S8 for node in convs)
    agree(model, {"x": drawn(model, 2)}, 2)


def test_activations_before_the_quantizer_become_clamps() -> None:
    n = Qdq((1, 3, 5, 7))
    y = n.conv(n.fake("x", 0.05, 3), 0.05, 3, 4)
    out = n.q(n.add("Clip", n.add("Relu", y), n.constant(0.5), n.constant(20.0)), 0.3, -100)
    model = n.model((out, S8))
    assert [k.op.label() for k in folded(model.SerializeToString()).graph("infer").nodes][-2:] == ["conv", "transpose"]
    agree(model, {"x": drawn(model, 2)}, 1)


def test_what_moves_goes_through_quantisers() -> None:
    """Concatenation of three scales, a view, a transpose and a maximum between layers, a scale changed twice."""
    n = Qdq((1, 3, 6, 6))
    x = n.fake("x", 0.05, 3)
    a, b = n.fake(n.conv(x, 0.05, 3, 2), 0.4, 1), n.fake(n.conv(x, 0.05, 3, 3), 0.2, -1)
    c = n.fake(n.add("Concat", a, x, b, axis=1), 0.3, 7)
    d = n.fake(n.add("MaxPool", c, kernel_shape=[2, 2], strides=[2, 2]), 0.3, 7)
    e = n.add("Transpose", n.add("Reshape", d, n.constant([1, 8, -1], "i8")), perm=[0, 2, 1])
    model = n.model((n.q(n.fake(e, 0.25, 1), 0.5, 0), S8), (n.q(e, 0.3, 7), S8))
    graph = folded(model.SerializeToString()).graph("infer")
    floats = [k.op.label() for k in graph.nodes if any(v.type.dtype is DType.F32 for v in (*k.ins, *k.outs))]
    assert floats == ["quantize"]
    agree(model, {"x": drawn(model, 4)}, 6)


@pytest.mark.parametrize(("code", "kind", "zero"), [("i1", S8, -3), ("u1", U8, 125)])
def test_integer_inputs_and_outputs(code: str, kind: int, zero: int) -> None:
    n = Qdq((1, 3, 6, 6), kind)
    y = n.conv(n.dq("x", 0.05, zero, code), 0.05, 3, 4)
    model = n.model(
        (n.q(y, 0.5, zero, code), kind), (n.add("MaxPool", n.q(y, 0.5, zero, code), kernel_shape=[2, 2]), kind)
    )
    x = np.random.default_rng(0).integers(0, 256, (1, 3, 6, 6)).astype(np.uint8).view(code)
    agree(model, {"x": x}, 1 if code == "i1" else 0)


def test_a_float_bias_keeps_a_layer_in_float() -> None:
    """It isn't rounded to s32 behind the model's back."""
    n = Qdq((1, 3, 5, 5))
    x = n.fake("x", 0.05, 3)
    n.conv(x, 0.05, 3, 4)
    n.nodes[-1].input[2] = n.constant(n.rng.standard_normal(4))
    model = n.model((n.q(n.nodes[-1].output[0], 0.4, 5), S8))
    ops = [k for k in folded(model.SerializeToString()).graph("infer").nodes if k.op.label() == "conv"]
    assert [k.outs[0].type.dtype for k in ops] == [DType.F32]
    agree(model, {"x": drawn(model, 2)}, 1)


def test_weights_of_u8_and_weights_that_the_model_quantises() -> None:
    """Both are s8 at import: u8 about 128, and floats that pass a quantiser per channel."""
    n = Qdq((1, 3, 5, 5))
    s = np.float32([0.01, 0.02, 0.03, 0.04])
    x = n.fake("x", 0.05, 3)
    u = n.dq(n.constant(n.rng.integers(1, 256, (4, 3, 3, 3)), "u1"), 0.01, 128, "u1")
    b = n.add(
        "DequantizeLinear",
        n.constant(n.rng.integers(-99, 99, 4), "i4"),
        n.constant(np.float32(0.01) * np.float32(0.05)),
    )
    y = n.fake(n.add("Conv", x, u, b), 0.4, 2)
    q = (n.constant(s), n.constant(np.zeros(4), "i1"))
    w = n.add("QuantizeLinear", n.constant(n.rng.standard_normal((4, 4, 1, 1))), *q, axis=0)
    z = n.add("Conv", y, n.add("DequantizeLinear", w, *q, axis=0))
    model = n.model((n.q(z, 0.5, 5), S8))
    ops = [k for k in folded(model.SerializeToString()).graph("infer").nodes if k.op.label() == "conv"]
    assert [k.outs[0].type.dtype for k in ops] == [DType.S8] * 2
    agree(model, {"x": drawn(model, 2)}, 2)


def test_attention_of_two_heads() -> None:
    """Products of computed matrices, one for each head, and pieces of one projection."""
    rng = np.random.default_rng(0)
    n = Qdq((1, 6, 24))
    q, k, v = (f"s{i}" for i in range(3))
    n.nodes.append(helper.make_node("Split", ["x"], [q, k, v], axis=2))
    shape = n.constant([1, 6, 2, 4], "i8")
    heads = [n.add("Transpose", n.add("Reshape", h, shape), perm=[0, 2, 1, 3]) for h in (q, k, v)]
    scores = n.add("MatMul", heads[0], n.add("Transpose", heads[1], perm=[0, 1, 3, 2]))
    mixed = n.add("MatMul", n.add("Softmax", n.add("Mul", scores, n.constant(0.5)), axis=-1), heads[2])
    joined = n.add("Reshape", n.add("Transpose", mixed, perm=[0, 2, 1, 3]), n.constant([1, 6, 8], "i8"))
    out = n.add("MatMul", joined, n.constant(rng.standard_normal((8, 3))))
    model = n.model((n.add("Gather", out, n.constant(-1, "i8"), axis=1), F))
    agree(model, {"x": drawn(model, 2)}, 0)


def test_weights_that_are_not_symmetric_are_refused() -> None:
    from tte.errors import Unsupported  # noqa: PLC0415

    n = Qdq((1, 4))
    w = n.dq(n.constant(n.rng.integers(0, 255, (4, 3)), "u1"), 0.1, 113, "u1")
    model = n.model((n.add("MatMul", n.fake("x", 0.1), w), F))
    with pytest.raises(Unsupported, match=r"zero point -15.*symmetrically"):
        import_onnx(model.SerializeToString())
    assert session(model.SerializeToString()).run(None, {"x": np.ones((1, 4), np.float32)})[0].shape == (1, 3)
