"""Modules as ONNX: ONNX Runtime runs what was exported, and importing it again gives the module's own bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import usable
from learner import INPUTS, learner
from networks import NETWORKS, samples
from onnx_models import NETS, prepared, quantized
from onnx_oracle import folded, session
from typer.testing import CliRunner

from tte.backend.to_onnx import RULES, export_onnx
from tte.cli.main import cli
from tte.data.feed import random_inputs
from tte.driver import SIMPLIFY, compile_model, run_passes
from tte.ends import after, before
from tte.errors import TteError, Unsupported
from tte.interp import interpret
from tte.ir import Builder, Module
from tte.op import Arrays, Example
from tte.ops import all_ops
from tte.ops.conv import Conv
from tte.ops.linear import Linear
from tte.passes.quantize.io_quantized import io_quantized
from tte.passes.simplify.dce import dce
from tte.running.device import Device
from tte.running.emulate import build
from tte.states import layout
from tte.target import load_board
from tte.training.trained import read_trained
from tte.types import Array

WEIGHTED = (Conv, Linear)


def ours(module: Module, given: Arrays) -> Arrays:
    """The model's own outputs, by the interpreter."""
    graph = module.graph("infer")
    device = {v.name: a for v, a in zip(graph.ins, before(module, given), strict=True)}
    outs, _ = interpret(graph, device, {s.value.name: s.init for s in module.states})
    return after(module, tuple(outs[v.name] for v in graph.outs))


def theirs(model: onnx.ModelProto, given: list[Arrays]) -> list[Arrays]:
    onnx.checker.check_model(model, full_check=True)
    runtime = session(model.SerializeToString())
    names = [i.name for i in runtime.get_inputs()]
    return [tuple(runtime.run(None, dict(zip(names, arrays, strict=True)))) for arrays in given]


def single(e: Example) -> Module:
    """A module of one node."""
    b = Builder("infer")
    values = [
        b.constant(f"c{i}", t, a) if i in e.consts else b.input(f"x{i}", t)
        for i, (t, a) in enumerate(zip(e.ins, e.args, strict=True))
    ]
    outs = b.emit(e.op, *values)
    return Module("single", tuple(b.states), (b.finish(*outs),))


def exported_examples() -> list[Example]:
    """Those of ops that have a form in ONNX, with constant weights, without masks, and no bare sums."""
    found = [e for op in all_ops().values() if op in RULES for e in op.examples()]
    fixed = [e for e in found if type(e.op) not in WEIGHTED or {*range(1, len(e.ins))} <= {*e.consts}]
    return [e for e in fixed if not getattr(e.op, "masked", False) and e.op != Linear(sums=True)]


@pytest.mark.parametrize("e", exported_examples(), ids=lambda e: e.op.label())
def test_each_op_on_its_examples(e: Example) -> None:
    given = tuple(a for i, a in enumerate(e.args) if i not in e.consts)
    module = single(e)
    (got, *_), (want, *_) = theirs(export_onnx(module, {}), [given])[0], ours(module, given)
    assert got.dtype == want.dtype
    if want.dtype == np.float32:
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    else:
        assert abs(got.astype(int) - want).max() <= 1


def on_device(module: Module) -> Module:
    """As `--io quantized` compiles it."""
    return run_passes(module, load_board("host"), (*SIMPLIFY, io_quantized, dce))


@pytest.mark.parametrize("name", NETS)
def test_networks_in_float(name: str) -> None:
    module = on_device(folded(NETS[name](1).SerializeToString()))
    given = [random_inputs(module, seed) for seed in range(5)]
    for (got, *_), arrays in zip(theirs(export_onnx(module, {}), given), given, strict=True):
        want = ours(module, arrays)[0]
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * abs(want).max())


@pytest.mark.parametrize("unsigned", [False, True], ids=["s8", "u8"])
@pytest.mark.parametrize("name", NETS)
def test_quantised_networks(name: str, unsigned: bool) -> None:
    model = quantized(prepared(NETS[name](1)), unsigned, per_channel=True, qdq=True)
    module = on_device(folded(model.SerializeToString()))
    agree(module, [random_inputs(module, seed) for seed in range(100)], 2)


@pytest.mark.parametrize(("name", "steps"), [("mcunet_5fps", 10), ("vww", 2), ("sww", 2)])
def test_real_networks(shared: Path, name: str, steps: int) -> None:
    """TFLite rounds some sums otherwise, which ONNX cannot say: those do not come back to the bit."""
    module = NETWORKS[name].load(shared)
    agree(on_device(module), samples(module, 30), steps, again=name == "mcunet_5fps")


def test_what_was_trained_comes_back(tmp_path: Path) -> None:
    """Through the command, from an exported block and from a .npz."""
    board = usable("host")
    compiled = compile_model(learner(), board)
    compiled.write(tmp_path / "p")
    device = Device(compiled.module, build(tmp_path / "p", board), board)
    x = np.arange(-50, 50, 20, np.int8).reshape(1, INPUTS)
    device.train([(x, np.array([1], np.int32))] * 3, [0.05] * 3)
    (want,) = device.infer([(x,)])[0]
    (tmp_path / "w.bin").write_bytes(device.exported)
    np.savez(tmp_path / "w.npz", **device.states)
    assert abs(want - run_command(tmp_path, [], x)).max() > 0.01
    for name in ("w.bin", "w.npz"):
        np.testing.assert_allclose(run_command(tmp_path, ["--weights", str(tmp_path / name)], x), want, rtol=1e-5)


def run_command(folder: Path, options: list[str], x: Array) -> Array:
    out = folder / "m.onnx"
    done = CliRunner().invoke(cli, ["export", str(folder / "p"), "-o", str(out), *options], catch_exceptions=False)
    assert done.exit_code == 0
    return theirs(onnx.load(out), [(x,)])[0][0]


@pytest.mark.parametrize("damage", ["cut", "changed", "another", "npz", "missing"])
def test_states_that_do_not_fit_are_refused(tmp_path: Path, damage: str) -> None:
    module = learner()
    places = layout(module.states)
    sealed = places.seal(places.pack({s.value.name: s.init for s in module.states}))
    path = tmp_path / "w"
    if damage == "npz":
        with path.open("wb") as file:
            np.savez(file, w=np.zeros((2, 2), np.float32))
    elif damage != "missing":
        middle = len(sealed) // 2
        changed = sealed[:middle] + bytes([sealed[middle] ^ 1]) + sealed[middle + 1 :]
        other = layout(module.states[:2])
        block = other.pack({s.value.name: s.init for s in module.states})
        path.write_bytes({"cut": sealed[:-1], "changed": changed, "another": other.seal(block)}[damage])
    with pytest.raises(TteError):
        read_trained(path, module)


def test_an_op_without_a_form_is_refused() -> None:
    op = next(e for e in all_ops()["tick"].examples())
    sums = next(e for e in Linear.examples() if e.op == Linear(sums=True))
    with pytest.raises(Unsupported, match="sums in s32 have no form in ONNX"):
        export_onnx(single(sums), {})
    with pytest.raises(Unsupported, match="tick has no form in ONNX"):
        export_onnx(single(op), {})


def agree(module: Module, given: list[Arrays], steps: int, again: bool = True) -> None:
    """Top 1 on 99 of 100, and nothing further off than some steps of 255; imported again, the same bits."""
    model = export_onnx(module, {})
    want = [ours(module, arrays)[0].astype(np.float64) for arrays in given]
    got = [found[0].astype(np.float64) for found in theirs(model, given)]
    assert np.mean([a.argmax() == b.argmax() for a, b in zip(got, want, strict=True)]) >= 0.99
    step = max(np.ptp(y) for y in want) / 255
    assert max(abs(a - b).max() for a, b in zip(got, want, strict=True)) <= steps * step
    if again:
        imported = folded(model.SerializeToString())
        for arrays, y in list(zip(given, want, strict=True))[:5]:
            np.testing.assert_array_equal(ours(imported, arrays)[0], y)
