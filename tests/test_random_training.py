"""Networks, plans and optimisers at random: the device learns the bits of the reference, in loops over channels."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from conftest import usable
from small_nets import Net

from tte.driver import Compiled, Options, Training, compile_model
from tte.interp import interpret
from tte.ir import Module
from tte.op import Arrays
from tte.ops.add import Add
from tte.ops.average_pool import AveragePool
from tte.ops.reshape import Reshape
from tte.running.device import Device
from tte.running.emulate import build
from tte.target import Board
from tte.training.learning import Learning
from tte.training.plan import Part, TrainPlan
from tte.types import DType, Value

STEPS = 3


def network(random: Random) -> tuple[Module, int]:
    """A stem and some inverted residual blocks with ragged channels; and its number of convolutions."""
    net, layers = Net(random.randrange(99), random.choice((DType.S8, DType.S8, DType.F32))), 1
    x = net.conv("stem", net.x, (random.choice((4, 6, 8)), 3, 3, 3), pads=(1, 1, 1, 1))
    for i in range(random.choice((1, 2, 3))):
        x = block(net, f"block{i}", x, random)
        layers += 3
    pooled = net.emit(AveragePool(x.type.shape[1:3], out=net.quant), x)
    return net.module(net.linear("head", net.emit(Reshape((1, x.type.shape[3])), pooled), 4)), layers


def block(net: Net, name: str, x: Value, random: Random) -> Value:
    c, stride, size = x.type.shape[3], random.choice((1, 1, 2)), random.choice((1, 3, 5))
    hidden, out = c * random.choice((2, 3)), c if stride == 1 else random.choice((3, 8))
    y = net.conv(f"{name}_expand", x, (hidden, 1, 1, c))
    y = net.conv(f"{name}_depthwise", y, (hidden, size, size, 1), stride=(stride, stride), pads=(size // 2,) * 4)
    y = net.conv(f"{name}_project", y, (out, 1, 1, hidden))
    return net.emit(Add(out=net.quant), x, y) if y.type == x.type and random.random() < 0.8 else y


def trainer(random: Random, board: Board) -> Compiled:
    """With all that may differ drawn at random."""
    module, layers = network(random)
    chosen = random.sample(range(layers), random.randrange(layers + 1))
    parts = tuple(Part(i, random.choice((0.25, 0.5, 1.0))) for i in sorted(chosen))
    plan = TrainPlan(random.randrange(layers + 1), 0, parts, random.choice(("norm", "first")))
    learning = Learning(
        optimizer=random.choice(("sgd", "sgd", "momentum", "adam")),
        rule=random.choice(("stochastic", "stochastic", "residual8", "master")),
        accumulate=random.choice((1, 1, 2)),
        rate=0.02,
        seed=random.randrange(99),
    )
    memory = random.choice(("smallest", "smallest", "balanced", "fast"))
    return compile_model(module, board, Options(memory=memory, train=Training(plan, learning)))


def examples(module: Module, random: Random) -> list[Arrays]:
    """Inputs and labels."""
    rng, (x, label) = np.random.default_rng(random.randrange(99)), (v.type for v in module.graph("train_step").ins)
    dtype = x.dtype.numpy
    spread = 1 if x.dtype is DType.F32 else 60
    draw = [(rng.standard_normal(x.shape) * spread).clip(-128, 127).astype(dtype) for _ in range(STEPS)]
    return [(d, rng.integers(0, 4, label.shape, np.int32)) for d in draw]


@pytest.mark.parametrize(("name", "seed"), [*(("host", seed) for seed in range(4)), ("cortex-m7", 4), ("cortex-m7", 7)])
def test_learns_the_bits_of_the_reference(name: str, seed: int, tmp_path: Path) -> None:
    random, board = Random(seed), usable(name)
    compiled = trainer(random, board)
    compiled.write(tmp_path)
    module, graph = compiled.module, compiled.module.graph("train_step")
    given = examples(module, random)
    device = Device(module, build(tmp_path, board, sanitize=name == "host"), board)
    got = device.train(given, [0.02] * STEPS)
    states = {s.value.name: s.init for s in module.states} | {"rate": np.array([0.02], np.float32)}
    for arrays, (loss, scores) in zip(given, got, strict=True):
        outs, states = interpret(graph, {v.name: a for v, a in zip(graph.ins, arrays, strict=True)}, states)
        assert all(np.array_equal(a, b) for a, b in zip(outs.values(), (loss, scores), strict=True))
    found = device.states
    assert all(np.array_equal(found[k], states[k]) for k in found)
    assert any(c.loop for f in compiled.program.functions for c in f.calls)
