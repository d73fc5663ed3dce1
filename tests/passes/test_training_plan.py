"""Plans: what they mean, and that heads, orders of channels and split weights leave the network what it is."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from siblings import SIBLINGS, sibling

from tte.driver import SIMPLIFY, run_passes
from tte.errors import TteError
from tte.frontend.onnx import import_onnx
from tte.frontend.tflite import import_tflite
from tte.interp import interpret
from tte.ir import Builder, Module
from tte.op import Arrays
from tte.ops.add import Add
from tte.ops.average_pool import AveragePool
from tte.ops.concat import Concat
from tte.ops.conv import Conv
from tte.ops.linear import Linear
from tte.ops.reshape import Reshape
from tte.ops.softmax import Softmax
from tte.passes.quantize.io_quantized import io_quantized
from tte.passes.simplify.dce import dce
from tte.passes.training.front import Front
from tte.passes.training.head import Head
from tte.passes.training.layers import resolve
from tte.passes.training.train_states import TrainStates
from tte.plan import GENERIC, Part, TrainPlan, load_plan, parse_plan, plans
from tte.target import load_board
from tte.types import Array, DType, Quant, TensorType, Value

HOST = load_board("host")
WHOLE = (*SIMPLIFY, io_quantized, dce)


class Net:
    """A small network, in float or int8."""

    def __init__(self, seed: int = 0, dtype: DType = DType.S8) -> None:
        self.builder, self.rng, self.dtype = Builder("infer"), np.random.default_rng(seed), dtype
        self.x = self.builder.input("x", self.type((1, 6, 6, 3)))

    def type(self, shape: tuple[int, ...]) -> TensorType:
        return TensorType(shape, self.dtype, self.quant)

    @property
    def quant(self) -> Quant | None:
        return Quant((0.05,), 3) if self.dtype is DType.S8 else None

    def conv(self, name: str, x: Value, shape: tuple[int, ...], **fields: object) -> Value:
        op = Conv(out=self.quant, low=0.0, **fields)  # type: ignore[arg-type]
        return self.builder.emit(op, x, *self.weights(name, shape), source=name)[0]

    def linear(self, name: str, x: Value, n: int) -> Value:
        return self.builder.emit(Linear(), x, *self.weights(name, (n, x.type.shape[1])), source=name)[0]

    def weights(self, name: str, shape: tuple[int, ...]) -> tuple[Value, Value]:
        real = self.dtype is DType.F32
        scales = None if real else Quant(tuple(self.rng.uniform(0.004, 0.02, shape[0])), 0, 0)
        w = self.rng.normal(size=shape) if real else self.rng.integers(-127, 128, shape)
        b = self.rng.normal(size=shape[0]) if real else self.rng.integers(-900, 900, shape[0])
        bias = DType.F32 if real else DType.S32
        return (
            self.builder.constant(f"{name}_w", TensorType(shape, self.dtype, scales), w.astype(self.dtype.numpy)),
            self.builder.constant(f"{name}_b", TensorType(shape[:1], bias), b.astype(bias.numpy)),
        )

    def emit(self, op: object, *ins: Value) -> Value:
        return self.builder.emit(op, *ins)[0]  # type: ignore[arg-type]

    def module(self, *outs: Value) -> Module:
        return Module("m", tuple(self.builder.states), (self.builder.finish(*outs),))


def residual(dtype: DType = DType.S8, seed: int = 0) -> Module:
    """stem -> a; b = a + project(depthwise(expand(a))); the head reads the mean of conv(b)."""
    net = Net(seed, dtype)
    same = (1, 1, 1, 1)
    a = net.conv("stem", net.x, (8, 3, 3, 3), pads=same)
    y = net.conv("expand", a, (12, 1, 1, 8))
    y = net.conv("depthwise", y, (12, 3, 3, 1), pads=same)
    y = net.conv("project", y, (8, 1, 1, 12))
    y = net.emit(Add(out=net.quant), a, y)
    y = net.conv("last", y, (10, 1, 1, 8))
    y = net.emit(Reshape((1, 10)), net.emit(AveragePool((6, 6), out=net.quant), y))
    return net.module(net.linear("head", y, 4))


def outputs(module: Module, seed: int = 1) -> Arrays:
    """What `infer` gives for one input at random."""
    graph, rng = module.graph("infer"), np.random.default_rng(seed)

    def draw(t: TensorType) -> Array:
        if t.dtype is DType.F32:
            return rng.normal(size=t.shape).astype(np.float32)
        return rng.integers(-128, 128, t.shape).astype(np.int8)

    states = {s.value.name: s.init for s in module.states}
    found, _ = interpret(graph, {v.name: draw(v.type) for v in graph.ins}, states)
    return tuple(found[v.name] for v in graph.outs)


def state(module: Module, name: str) -> Array:
    return next(s.init for s in module.states if s.value.name == name)


def plan(*parts: Part, biases: int = 0, **fields: object) -> TrainPlan:
    return TrainPlan(biases, 0, parts, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [*plans(), "last-12", "bias-only", "bias-only-22", "head-only", "full"])
def test_a_plan_is_its_text(name: str) -> None:
    assert parse_plan("p", str(load_plan(name))) == load_plan(name)


def test_plans_say_what_the_paper_says() -> None:
    """ANCHORS, "Training"."""
    found = load_plan("mcunet-5fps-99kb")
    ratios = {21: 1.0, 24: 1.0, 27: 1.0, 30: 1.0, 36: 0.125, 39: 0.25}
    assert (found.biases, {p.layer: p.ratio for p in found.parts}) == (22, ratios)
    assert load_plan("last-3") == TrainPlan(3, 3)
    assert len(plans()) == 7


def test_a_plan_in_a_file_may_name_layers_and_channels(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('biases = ["stem", 2]\nselect = "first"\n[[layer]]\nname = "project"\nchannels = [3, 1]\n')
    found = {x.node.source: (x.bias, x.count, x.listed) for x in resolve(load_plan(str(path)), residual().graphs[0])}
    assert found["stem"] == (True, 0, ())
    assert found["depthwise"] == (True, 0, ())
    assert found["project"] == (False, 2, (3, 1))
    assert found["head"] == (True, 10, ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("biases = 1.5", "biases must be a number of layers"),
        ("biases = -1", "biases must be"),
        ("biases = [true]", "not the index of a layer"),
        ("bias = 3", "unknown key 'bias'"),
        ("[[layer]]\nratio = 0.5", "needs conv or name"),
        ("[[layer]]\nconv = 1\nname = 'a'", "needs conv or name"),
        ("[[layer]]\nconv = 1\nratio = 0.5\nchannels = [0]", "a ratio or channels"),
        ("[[layer]]\nconv = 'a'", '"a" is not the index'),
        ("[[layer]]\nname = 3", "3 is not a name"),
        ("[[layer]]\nconv = 1\nratio = 0", "ratio must lie above 0"),
        ("[[layer]]\nconv = 1\nratio = nan", "ratio must lie above 0"),
        ("[[layer]]\nconv = 1\nratio = 1.01", "not above 1"),
        ("[[layer]]\nconv = 1\nchannels = []", "at least one index"),
        ("[[layer]]\nconv = 1\nchannels = [2, 2]", "names one twice"),
        ("layer = 3", "[[layer]] tables"),
        ("select = 'best'", "norm or first"),
        ("head = 1", "true or false"),
        ("biases =", "Invalid value"),
    ],
)
def test_plans_that_make_no_sense_are_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(TteError, match=re.escape(said)) as error:
        parse_plan("mine.toml", text)
    assert str(error.value).startswith("mine.toml") and "\n" not in str(error.value)


def test_a_plan_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(TteError, match="no plan or file 'nothing'") as error:
        load_plan("nothing")
    assert all(name in str(error.value) for name in (*GENERIC, *plans()))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(TteError, match="cannot be read"):
        load_plan(str(tmp_path / "bytes.toml"))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (TrainPlan(6), "biases of the last 6 layers: ?(.*)there are 5 before the head"),
        (TrainPlan(0, 6), "trains weights of the last 6"),
        (plan(Part(6)), "there is no layer 6"),
        (plan(Part("nowhere")), "no layers are called 'nowhere'"),
        (plan(Part(1, 0.5), Part("expand")), "names the layer 'expand' twice"),
        (plan(Part("project", 1.0, (12,))), "layer 3 .project.: has no channel 12"),
    ],
)
def test_plans_that_do_not_fit_the_model_are_refused(bad: TrainPlan, said: str) -> None:
    with pytest.raises(TteError, match=said.replace(": ?(.*)", ".*")):
        resolve(bad, residual().graphs[0])


def trained_bytes(module: Module, chosen: TrainPlan) -> int:
    """Bytes of trained weights (one each) and biases (four each)."""
    found = resolve(chosen, module.graph("infer"))
    weights = sum(x.node.ins[1].type.size // x.total * x.count for x in found)
    return weights + sum(4 * x.node.ins[2].type.size for x in found if x.bias)


@pytest.mark.parametrize(("name", "size"), [("mobilenetv2-0.35", 36_082), ("proxylessnas-0.3", 35_688)])
def test_siblings_train_as_many_bytes_as_published(name: str, size: int) -> None:
    """RECIPES, Training: P with an int8 head for 10 classes."""
    module = Head(10, "int8")(sibling(name), HOST)
    assert trained_bytes(module, load_plan(f"{name}-49kb")) == size
    assert name in SIBLINGS


@pytest.fixture(scope="module")
def mcunet(shared: Path) -> Module:
    return run_passes(import_onnx(shared / "models/mcunet-5fps-int8.onnx", "mcunet"), HOST, WHOLE)


@pytest.mark.parametrize(("scheme", "size"), [("49kb", 32_104), ("99kb", 73_288)])
def test_mcunet_trains_as_many_bytes_as_published(mcunet: Module, scheme: str, size: int) -> None:
    module = Head(10, "int8")(mcunet, HOST)
    assert trained_bytes(module, load_plan(f"mcunet-5fps-{scheme}")) == size


def passed(module: Module, chosen: TrainPlan) -> Module:
    """Permuted and split."""
    return run_passes(module, HOST, (Front(chosen), TrainStates(chosen)))


def test_trained_channels_of_mcunet_come_first_and_it_stays_what_it_is(mcunet: Module) -> None:
    chosen = load_plan("mcunet-5fps-148kb")
    moved = run_passes(mcunet, HOST, (Front(chosen),))
    np.testing.assert_equal(outputs(moved), outputs(mcunet))
    for layer in resolve(chosen, moved.graph("infer")):
        if layer.partial:
            q = layer.node.ins[1].type.scaling.scale
            real = state(moved, layer.node.ins[1].name) * np.reshape(q, (-1, 1, 1, 1))
            norms = np.linalg.norm(real.reshape(-1, layer.total), axis=0)
            assert norms[: layer.count].min() >= norms[layer.count :].max()
    assert Front(chosen).notes(mcunet) == ()


@pytest.mark.parametrize(("network", "fixed"), [("ic_resnet8", 1), ("kws_dscnn", 0)])
def test_half_of_every_layer_of_real_networks(shared: Path, network: str, fixed: int) -> None:
    """Only the colours of an image keep their order."""
    module = run_passes(import_tflite(shared / f"models/mlperf_{network}_int8.tflite", "m"), HOST, WHOLE)
    count = len(resolve(TrainPlan(), module.graph("infer"))) - 1
    halves = plan(*(Part(i, 0.5) for i in range(count)), biases=count)
    np.testing.assert_equal(outputs(passed(module, halves)), outputs(module))
    assert len(Front(halves).notes(module)) == fixed


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0]), min_size=5, max_size=5),
    st.lists(st.booleans(), min_size=5, max_size=5),
    st.sampled_from([DType.S8, DType.F32]),
    st.sampled_from(["norm", "first"]),
    st.integers(0, 99),
)
def test_any_plan_leaves_the_network_what_it_is(
    ratios: list[float], taken: list[bool], dtype: DType, select: str, seed: int
) -> None:
    module = residual(dtype, seed)
    parts = (Part(i, ratio) for i, (ratio, take) in enumerate(zip(ratios, taken, strict=True)) if take)
    chosen = plan(*parts, biases=seed % 6, select=select)
    found = passed(module, chosen)
    before, after = outputs(module), outputs(found)
    if dtype is DType.S8:
        np.testing.assert_equal(after, before)
    else:  # 12 products a sum, each of which may be rounded in another order
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)
    trained = [s for s in found.states if s.storage == "sram"]
    counts = [(x.count > 0) + x.bias for x in resolve(chosen, module.graph("infer"))]
    assert len(trained) == sum(counts)


def test_named_channels_come_first_on_both_sides_of_a_depthwise_layer() -> None:
    module = residual()
    chosen = plan(Part("depthwise", 1.0, (7, 3)), Part("project", 1.0, (3, 9, 7)))
    moved = run_passes(module, HOST, (Front(chosen),))
    np.testing.assert_equal(outputs(moved), outputs(module))
    for name, axis in ("expand_w", 0), ("expand_b", 0), ("depthwise_w", 0), ("depthwise_b", 0), ("project_w", 3):
        first = np.take(state(moved, name), range(3), axis)
        np.testing.assert_array_equal(first, np.take(state(module, name), [7, 3, 9], axis))


def test_named_channels_that_contradict_each_other_are_refused() -> None:
    chosen = plan(Part("depthwise", 1.0, (7, 3)), Part("project", 1.0, (3, 9, 8)))
    with pytest.raises(TteError, match=r"layer 3 \(project\): shares its channels with layer 2 \(depthwise\)"):
        Front(chosen)(residual(), HOST)


def test_channels_that_the_world_sees_stay_and_it_is_said() -> None:
    module = residual()
    chosen = plan(Part("stem", 0.34))
    assert Front(chosen)(module, HOST).graphs == module.graphs
    assert Front(chosen).notes(module) == (
        "layer 0 (stem): its input channels keep their order, the first 1 are trained",
    )
    with pytest.raises(TteError, match="cannot be moved, so only the first 1"):
        Front(plan(Part("stem", 1.0, (2,))))(module, HOST)


def test_channels_that_are_joined_with_others_stay() -> None:
    net = Net()
    a, b = net.conv("a", net.x, (4, 1, 1, 3)), net.conv("b", net.x, (4, 1, 1, 3))
    joined = net.emit(Concat(3), a, b)
    module = net.module(net.conv("c", joined, (4, 1, 1, 8)), net.conv("d", a, (4, 1, 1, 4)))
    for layer in "c", "d":
        assert Front(plan(Part(layer, 0.5), head=False)).notes(module) != ()


def test_layers_that_share_a_bias_get_their_own() -> None:
    net = Net()
    a = net.conv("a", net.x, (4, 1, 1, 3))
    w, _ = net.weights("b", (4, 1, 1, 4))
    shared_bias = next(s.value for s in net.builder.states if s.value.name == "a_b")
    y = net.builder.emit(Conv(out=net.quant), a, w, shared_bias, source="b")[0]
    y = net.conv("c", y, (5, 1, 1, 4))
    module = net.module(y)
    chosen = plan(Part("b", 0.5), Part("c", 0.5), biases=2, head=False)
    found = passed(module, chosen)
    np.testing.assert_equal(outputs(found), outputs(module))
    trained = [n.ins[2] for n in found.graph("infer").nodes[1:]]
    storage = {s.value: s.storage for s in found.states}
    assert [storage[v] for v in trained] == ["sram", "sram"]
    assert storage[found.graph("infer").nodes[0].ins[2]] == "flash"


def test_trained_biases_know_what_they_stand_for() -> None:
    found = passed(residual(), plan(biases=2, head=False))
    node = next(n for n in found.graph("infer").nodes if n.source == "last")
    x, w, b = (v.type.scaling for v in node.ins)
    np.testing.assert_array_equal(b.scale, np.float32(x.scale) * np.asarray(w.scale, np.float32))


def test_split_weights_have_their_own_scales() -> None:
    module = residual()
    found = passed(module, plan(Part("depthwise", 0.25), Part("project", 0.25), head=False, select="first"))
    nodes = {n.source: n for n in found.graph("infer").nodes}
    _, w, _, rest = (v.type for v in nodes["depthwise"].ins)
    whole = next(s.value.type.scaling.scale for s in module.states if s.value.name == "depthwise_w")
    assert (w.shape, rest.shape, w.scaling.scale + rest.scaling.scale) == ((3, 3, 3, 1), (9, 3, 3, 1), whole)
    _, w, _, rest = (v.type for v in nodes["project"].ins)
    assert (w.shape, rest.shape, w.scaling, rest.scaling) == ((8, 1, 1, 3), (8, 1, 1, 9), w.scaling, w.scaling)


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_a_new_head_reads_the_same_features(kind: str) -> None:
    module = residual()
    found = run_passes(module, HOST, (Head(7, kind, 5),))  # type: ignore[arg-type]
    graph = found.graph("infer")
    assert [v.type for v in graph.outs] == [TensorType((1, 7), DType.F32)]
    assert graph.nodes[: len(module.graphs[0].nodes) - 1] == module.graphs[0].nodes[:-1]
    assert {s.value.name for s in module.states} - {s.value.name for s in found.states} == {"head_w", "head_b"}
    w = next(s for s in found.states if s.value.name == "head_weight")
    real = w.init * (w.value.type.scaling.scale[0] if kind == "int8" else 1.0)
    assert 0.5 * 10**-0.5 < abs(real).max() <= 10**-0.5 * 1.02
    again = Head(7, kind, 6)(module, HOST)  # type: ignore[arg-type]
    assert not np.array_equal(state(again, "head_weight"), w.init)


def test_what_follows_the_old_head_goes() -> None:
    net = Net(dtype=DType.F32)
    x = net.emit(AveragePool((6, 6)), net.conv("a", net.x, (4, 1, 1, 3)))
    y = net.emit(Softmax(), net.emit(Reshape((1, 5)), net.conv("head", x, (5, 1, 1, 4))))
    found = run_passes(net.module(y), HOST, (Head(3),)).graph("infer")
    assert [n.op.label() for n in found.nodes] == ["conv", "average_pool", "reshape", "linear"]


def test_heads_that_cannot_be_are_refused() -> None:
    for wrong, said in [(0, "no number of classes"), (3, "is no classifier")]:
        net = Net()
        with pytest.raises(TteError, match=said):
            Head(wrong)(net.module(net.conv("a", net.x, (4, 1, 1, 3))), HOST)
    with pytest.raises(TteError, match="needs int8 features"):
        Head(3, "int8")(residual(DType.F32), HOST)
    module = residual()
    graph = module.graphs[0]
    both = replace(module, graphs=(replace(graph, outs=(*graph.outs, graph.nodes[2].outs[0])),))
    with pytest.raises(TteError, match="2 outputs"):
        Head(3)(both, HOST)
