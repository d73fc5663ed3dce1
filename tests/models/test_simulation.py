"""The simulation in benchmarks/: over the same integers as the device, and with the gradients of the oracle."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import NETWORKS
from torch_oracle import gradients

from tte.driver import SIMPLIFY, run_passes
from tte.ir import Module
from tte.passes.quantize.io_quantized import io_quantized
from tte.passes.simplify.dce import dce
from tte.passes.training.head import Head
from tte.passes.training.train_states import TrainStates
from tte.target import load_board
from tte.training.plan import load_plan
from tte.types import Array

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from simulate import Network, live_channels


@pytest.fixture(scope="module")
def module(shared: Path) -> Module:
    passes = (*SIMPLIFY, Head(10), dce, io_quantized, dce, TrainStates(load_plan("last-12")))
    return run_passes(NETWORKS["mcunet_5fps"].load(shared), load_board("host"), passes)


def traced(module: Module, image: Array) -> dict[str, Array]:
    graph = module.graph("infer")
    env = {**{s.value.name: s.init for s in module.states}, graph.ins[0].name: image}
    for node in graph.nodes:
        (env[node.outs[0].name],) = node.op.reference(tuple(env[v.name] for v in node.ins), *node.types)
    return env


def test_forward_and_gradients(module: Module) -> None:
    """Integers bit for bit; of each trained state the gradients agree, in the reals, to f32's accuracy."""
    network, graph = Network(module), module.graph("infer")
    image = np.random.default_rng(0).integers(-128, 128, graph.ins[0].type.shape, np.int8)
    env, label = traced(module, image), np.array([3], np.int32)
    given = network.before(image)
    for v in network.given:
        np.testing.assert_array_equal(given[v.name].numpy(), env[v.name].astype(int) - v.type.scaling.zero)
    states = {name: s.clone() for name, s in network.states.items()}
    for v in network.trained:
        states[v.name].requires_grad_(True)
    scores = network.scores(given, states)
    np.testing.assert_allclose(scores.detach().numpy(), env[graph.outs[0].name], rtol=1e-5, atol=1e-5)
    torch.nn.functional.cross_entropy(scores, torch.tensor(label.astype(np.int64))).backward()
    init = {s.value.name: s.init for s in module.states}
    theirs, live = gradients(graph, init, {graph.ins[0].name: image}, label, env), live_channels(module)
    assert len(network.trained) == 26
    for v in network.trained:
        scale = np.asarray(v.type.quant.scale if v.type.quant else (1.0,)).reshape(-1, *(1,) * (len(v.type.shape) - 1))
        found = states[v.name].grad
        assert found is not None
        alive = live.get(v.name, np.ones(v.type.shape[:1], bool))
        difference = (found.numpy().astype(np.float64) / scale - theirs[v.name])[alive]
        assert np.linalg.norm(difference) <= 1e-5 * np.linalg.norm(theirs[v.name]), v
