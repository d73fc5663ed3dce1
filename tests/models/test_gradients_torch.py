"""Gradients of the compiled graph against torch.autograd in float64, at the int8 values and masks of the reference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
from networks import NETWORKS, Network
from own_networks import OWN
from torch_oracle import gradients

from tte.driver import SIMPLIFY, Training, run_passes
from tte.frontend.onnx import import_onnx
from tte.ir import Graph, Module
from tte.passes.quantize.io_quantized import io_quantized
from tte.passes.simplify.dce import dce
from tte.target import load_board
from tte.training.learning import Gradients as Rounded
from tte.training.learning import Learning, Loss
from tte.training.plan import TrainPlan, load_plan
from tte.types import Array, DType, TensorType

SGD = Learning()
NEAR = 1e-4  # of the Euclidean norm


def trained(module: Module, plan: TrainPlan, classes: int | None = None, learning: Learning = SGD) -> Module:
    """The module with `train_step`, as the driver makes it."""
    passes = (*SIMPLIFY, *Training(plan, learning, classes).passes((io_quantized, dce)))
    return run_passes(module, load_board("host"), passes)


def traced(graph: Graph, inputs: dict[str, Array], states: dict[str, Array]) -> dict[str, Array]:
    """Every value that the graph computes."""
    env = {**states, **inputs}
    for node in graph.nodes:
        results = node.op.reference(tuple(env[v.name] for v in node.ins), *node.types)
        env.update(zip((v.name for v in node.outs), results, strict=True))
    return env


def picture(t: TensorType, seed: int) -> Array:
    """A smooth picture with some noise: activations are alive in all layers."""
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=t.shape)
    if len(t.shape) == 4:
        y, x = np.mgrid[: t.shape[1], : t.shape[2]] / max(t.shape[1:3])
        angles = [rng.normal() * 2 * x + rng.normal() * 2 * y + rng.random() for _ in range(t.shape[3])]
        waves = 0.1 * waves + np.sin(2 * np.pi * np.stack(angles, -1))[None]
    if t.dtype is DType.F32:
        return waves.astype(np.float32)
    return np.clip(waves * 90, -128, 127).astype(np.int8)


@dataclass(frozen=True)
class Gradients:
    """Of each trained state, ours and torch's."""

    ours: dict[str, Array]
    theirs: dict[str, Array]

    def error(self, name: str) -> float:
        """The norm of the difference, relative to that of torch's; where that is zero, the norm of ours."""
        ours = self.ours[name].astype(np.float64)
        return float(np.linalg.norm(ours - self.theirs[name]) / (np.linalg.norm(self.theirs[name]) or 1.0))


def learned(module: Module, seed: int = 0) -> Gradients:
    """One step, on a picture and a label, or a target, that `seed` draws."""
    graph, rng = module.graph("train_step"), np.random.default_rng(seed)
    states = {s.value.name: s.init for s in module.states}
    x, y = graph.ins
    label = np.array([1], np.int32) if y.type.dtype is DType.S32 else rng.normal(size=y.type.shape).astype(np.float32)
    given = {x.name: picture(x.type, seed), y.name: label}
    env = traced(graph, given, states)
    masks = {v.name: env[v.name] for n in graph.nodes for v in n.outs if v.type.dtype is DType.U1}
    measured = {n.outs[0]: n.ins[0] for n in graph.nodes if n.op.label() == "mul" and n.ins[1].name.startswith("unit")}
    updates = [n.ins[:2] for n in graph.nodes if n.op.label() == "update"]
    while any(d in measured for _, d in updates):  # the gradient is what lies before its unit
        updates = [(w, measured.get(d, d)) for w, d in updates]
    theirs = gradients(graph, states, given, label, env, masks)
    return Gradients({w.name: env[d.name] for w, d in updates}, {w.name: theirs[w.name] for w, _ in updates})


@cache
def mcunet(shared: Path, plan: str, select: Literal["norm", "first"]) -> Gradients:
    """Of mcunet-5fps with a head for ten classes."""
    return learned(trained(NETWORKS["mcunet_5fps"].load(shared), replace(load_plan(plan), select=select), 10))


@pytest.mark.parametrize(("plan", "tensors"), [("mcunet-5fps-99kb", 30), ("full", 86)])
def test_mcunet(shared: Path, plan: str, tensors: int) -> None:
    """Every trained tensor, residual blocks included."""
    found = mcunet(shared, plan, "first" if plan == "full" else "norm")
    worst = max(found.ours, key=found.error)
    assert len(found.ours) == tensors
    assert found.error(worst) <= NEAR, worst


@pytest.mark.parametrize(("gradients", "bound"), [("int16", 1.4e-4), ("int8", 3.2e-2)])
def test_rounded_gradients(shared: Path, gradients: Rounded, bound: float) -> None:
    """Rounding errs by up to 2**-15 or 2**-7 of the greatest that shares a step: some 3e-5 or 7e-3 of the norm.

    Backward through a block rounds three times, each independently of the others, and the plan trains seven blocks:
    sqrt(21) times that, 1.4e-4 or 3.2e-2, is what the first block trained may have. Measured are 9e-5 and 2.7e-2.
    """
    module = trained(
        NETWORKS["mcunet_5fps"].load(shared), load_plan("mcunet-5fps-49kb"), 10, Learning(gradients=gradients)
    )
    found = learned(module)
    worst = max(found.ours, key=found.error)
    assert len(found.ours) == 25
    assert found.error(worst) <= bound, worst
    assert found.error("block7_depthwise_bias_dq") >= bound / 20


def test_a_pruned_graph_has_the_gradients_of_the_full_one(shared: Path) -> None:
    """Bit for bit on what is kept; channels stay where they are."""
    full = mcunet(shared, "full", "first").ours
    for name, g in mcunet(shared, "mcunet-5fps-49kb", "first").ours.items():
        np.testing.assert_array_equal(g, full[name][tuple(slice(n) for n in g.shape)], name)


@pytest.mark.parametrize(
    ("file", "loss"),
    [
        ("mlperf_kws_dscnn_int8.tflite", "cross-entropy"),
        ("mlperf_ic_resnet8_int8.tflite", "cross-entropy"),
        ("mlperf_sww_int8.tflite", "cross-entropy"),
        ("mlperf_ic_resnet8_f32.tflite", "mse"),
        ("mlperf_ad_autoencoder_int8.tflite", "mse"),
        ("mlperf_ad_autoencoder_f32.tflite", "mse"),
    ],
)
def test_networks_of_other_kinds(shared: Path, file: str, loss: Loss) -> None:
    """Float and int8 in LiteRT's rounding, trained whole with the classifier that they have."""
    found = learned(trained(Network(file, 0).load(shared), load_plan("full"), learning=Learning(loss=loss)))
    worst = max(found.ours, key=found.error)
    assert len(found.ours) >= 18
    assert found.error(worst) <= NEAR, worst


@pytest.mark.parametrize(("name", "tensors"), [("mlp", 6), ("mlp_int8", 6), ("dscnn", 20)])
def test_networks_of_a_user(name: str, tensors: int, tmp_path: Path) -> None:
    """From ONNX files, trained whole."""
    onnx.save(OWN[name](), tmp_path / "m.onnx")
    found = learned(trained(import_onnx(tmp_path / "m.onnx", name), load_plan("full")))
    worst = max(found.ours, key=found.error)
    assert len(found.ours) == tensors
    assert found.error(worst) <= NEAR, (worst, found.error(worst))
