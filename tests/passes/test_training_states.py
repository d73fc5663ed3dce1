"""Heads, orders of channels and split weights leave the network what it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import draw, inputs
from small_nets import Net, outputs, plan, residual, state

from tte.driver import SIMPLIFY, run_passes
from tte.errors import TteError
from tte.frontend.onnx import import_onnx
from tte.frontend.tflite import import_tflite
from tte.interp import interpret
from tte.ir import Module
from tte.ops.average_pool import AveragePool
from tte.ops.concat import Concat
from tte.ops.conv import Conv
from tte.ops.reshape import Reshape
from tte.ops.softmax import Softmax
from tte.passes.quantize.io_quantized import io_quantized
from tte.passes.simplify.dce import dce
from tte.passes.training.front import Front
from tte.passes.training.head import Head
from tte.passes.training.layers import layers, resolve
from tte.passes.training.real_layers import RealLayers
from tte.passes.training.train_states import TrainStates
from tte.target import load_board
from tte.training.plan import Part, TrainPlan, load_plan
from tte.types import DType, Quant, TensorType

HOST = load_board("host")
WHOLE = (*SIMPLIFY, io_quantized, dce)


@pytest.fixture(scope="module")
def mcunet(shared: Path) -> Module:
    return run_passes(import_onnx(shared / "models/mcunet-5fps-int8.onnx", "mcunet"), HOST, WHOLE)


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
    notes = list[str]()
    moved = run_passes(module, HOST, (Front(halves), TrainStates(halves)), say=notes.append)
    np.testing.assert_equal(outputs(moved), outputs(module))
    assert len(notes) == fixed


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


@pytest.mark.parametrize("seed", range(24))
def test_random_graphs_stay_what_they_are(seed: int) -> None:
    """Over all ops, with results that the world sees anywhere."""
    module = draw(seed, [Conv, Conv])
    graph = module.graphs[0]
    shares, parts = np.random.default_rng(seed), []
    for i, node in enumerate(layers(graph)):
        grouped = node.ins[1].type.shape[-1] not in (1, node.ins[0].type.shape[-1])
        parts.append(Part(i, 1.0 if grouped or len(node.ins) == 4 else float(shares.choice([0.2, 0.5, 0.7]))))
    moved = run_passes(module, HOST, (Front(plan(*parts, head=False)),))
    given = {v.name: a for v, a in zip(graph.ins, inputs(module, seed), strict=True)}
    with np.errstate(all="ignore"):
        before, after = (
            interpret(m.graphs[0], given, {s.value.name: s.init for s in m.states})[0] for m in (module, moved)
        )
    for name, array in before.items():
        if array.dtype.kind == "f":  # sums in another order
            np.testing.assert_allclose(after[name], array, rtol=1e-3, atol=1e-3)
        else:
            np.testing.assert_array_equal(after[name], array)


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


def test_a_split_depthwise_layer_with_one_scale_has_it_for_each_filter() -> None:
    module = residual()
    old = next(s for s in module.states if s.value.name == "depthwise_w")
    one = replace(old, value=replace(old.value, type=replace(old.value.type, quant=Quant((0.01,)))))
    graph = module.graphs[0]
    nodes = (replace(n, ins=tuple(one.value if v == old.value else v for v in n.ins)) for n in graph.nodes)
    states = tuple(one if s is old else s for s in module.states)
    module = replace(module, states=states, graphs=(replace(graph, nodes=tuple(nodes)),))
    np.testing.assert_equal(outputs(passed(module, plan(Part(2, 0.5)))), outputs(module))


def test_split_weights_have_their_own_scales() -> None:
    module = residual()
    found = passed(module, plan(Part("depthwise", 0.25), Part("project", 0.25), head=False, select="first"))
    nodes = {n.source: n for n in found.graph("infer").nodes}
    _, w, _, rest = (v.type for v in nodes["depthwise"].ins)
    whole = next(s.value.type.scaling.scale for s in module.states if s.value.name == "depthwise_w")
    assert (w.shape, rest.shape, w.scaling.scale + rest.scaling.scale) == ((3, 3, 3, 1), (9, 3, 3, 1), whole)
    _, w, _, rest = (v.type for v in nodes["project"].ins)
    assert (w.shape, rest.shape, w.scaling, rest.scaling) == ((8, 1, 1, 3), (8, 1, 1, 9), w.scaling, w.scaling)


def test_a_head_from_integers_to_reals_is_trained_in_reals() -> None:
    module = residual()
    assert RealLayers(plan(head=False))(module, HOST) == module
    found = run_passes(module, HOST, (RealLayers(plan()),))
    (y,), (real,) = outputs(module), outputs(found)
    np.testing.assert_allclose(real, y, rtol=1e-5, atol=1e-5 * abs(y).max())
    assert {v.type.dtype for v in found.graphs[0].nodes[-1].ins} == {DType.F32}
    assert found.graphs[0].outs == module.graphs[0].outs


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
