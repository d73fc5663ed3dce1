"""What an npu computes, as ONNX: ONNX Runtime gives the same integers. With the extra qnn, so does Qualcomm's NPU."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from commands import DIGITS, Call, refused
from speakers import tiny

from tte.backend.npu_runs import Run, export_run, is_exact, npu_runs
from tte.backend.runtimes import Runtime, difference
from tte.driver import Options, compile_model
from tte.ir import Builder, Module
from tte.ops.linear import Linear
from tte.passes.npu.outlier import Split
from tte.record import read_record
from tte.store import load
from tte.target import load_board
from tte.types import DType, Quant, Rounding, TensorType

S8 = DType.S8
RUNTIMES: list[Runtime] = (
    ["cpu", "htp"] if find_spec("onnxruntime_qnn") else ["cpu"]
)  # of an extra that tests do without


def compiled(module: Module, folder: Path, splits: tuple[Split, ...] = ()) -> tuple[Module, list[Run]]:
    compile_model(module, load_board("phone-host"), Options(splits=splits)).write(folder)
    found = load(folder)
    return found, npu_runs(found, read_record(folder))


@pytest.mark.parametrize("on", RUNTIMES)
def test_sums(on: Runtime, tmp_path: Path) -> None:
    """Those of a language model with shadows and biases: bit for bit, as float32 holds them exactly."""
    weights = sorted({n.ins[1].name for n in tiny().graph("decode").nodes if n.op == Linear()})
    module, runs = compiled(tiny(biases=True), tmp_path, tuple(Split((w,), 0.05, (1, 3)) for w in weights))
    products = [n for g in module.graphs for n in g.nodes if n.op == Linear(sums=True)]
    assert {n.outs[0] for r in runs for n in r.nodes} == {n.outs[0] for n in products}
    assert {r.name.rstrip("0123456789") for r in runs} == {"prefill_", "decode_"}
    for run in runs[:4] + runs[-2:]:
        model = export_run(module, run)
        onnx.checker.check_model(model, full_check=True)
        assert is_exact(module, run)
        assert difference(module, run, model, on) == 0


def chain(rows: bool) -> Module:
    """Two layers in s8, then one in f32; of two of them, what is between is also a result."""
    rng = np.random.default_rng(5)
    b = Builder("infer")
    x = b.input("x", TensorType((3, 20), S8, Quant((0.05,), 7)))
    outs, at = (
        [],
        (Linear(0.0, 4.0, Quant((0.03,), -100)), Linear(out=Quant((0.2,), 3), rounding=Rounding.ONNX), Linear()),
    )
    for i, (op, n) in enumerate(zip(at, (30, 9, 5), strict=True)):
        scale = Quant(tuple((0.01 * (1 + np.arange(n) / n)).tolist()), 0, 0) if rows else Quant((0.01,))
        k = x.type.shape[1]
        w = b.constant(f"w{i}", TensorType((n, k), S8, scale), rng.integers(-127, 128, (n, k), np.int8))
        c = b.constant(f"b{i}", TensorType((n,), DType.S32), rng.integers(-2000, 2000, n, np.int32))
        (x,) = b.emit(op, x, w, c)
        outs += [x] if i else []
    return Module("chain", tuple(b.states), (b.finish(*outs),))


@pytest.mark.parametrize("on", RUNTIMES)
@pytest.mark.parametrize("rows", [False, True])
def test_a_chain(rows: bool, on: Runtime, tmp_path: Path) -> None:
    """One run, whose results between are quantised: each layer at most a step away, by itself."""
    module, (run,) = compiled(chain(rows), tmp_path)
    assert len(run.nodes) == 3
    assert [v.name for v in run.outs] == [v.name for v in module.graph("infer").outs]
    assert not is_exact(module, run)
    onnx.checker.check_model(export_run(module, run), full_check=True)
    for node, most in zip(run.nodes, (1, 1, 0), strict=True):
        one = Run("one", (node,), (node.ins[0],), node.outs)
        assert difference(module, one, export_run(module, one), on) <= most
    if on == "cpu":
        assert difference(module, run, export_run(module, run), on) <= 2


def test_a_wrong_model_is_seen(tmp_path: Path) -> None:
    module, (run,) = compiled(chain(True), tmp_path)
    model = export_run(module, run)
    weights = next(a for a in model.graph.initializer if a.name.startswith("w0"))
    weights.raw_data = bytes(len(weights.raw_data))
    assert difference(module, run, model, "cpu") > 2


def test_commands(tte: Call, tmp_path: Path) -> None:
    board = ("-b", "phone-host", "--no-build")
    assert tte("compile", DIGITS, *board, "-o", "p")[0] == 0
    code, out, err = tte("export", "p", "--npu", "-o", "q", "--check", "cpu")
    assert (code, err) == (0, "")
    assert "infer_0.onnx" in out
    assert "0, measured" in out
    assert [f.name for f in (tmp_path / "q").iterdir()] == ["infer_0.onnx"]
    refused(tte("export", "p", "--npu", "-o", "q"), "already")
    refused(tte("export", "p", "--npu", "-o", "r", "--check", "gpu"), "--check")
    refused(tte("export", "p", "--check", "cpu", "-o", "m.onnx"), "--npu")
    refused(tte("export", "p", "--npu", "--weights", "w", "-o", "r"), "--weights")
    assert tte("compile", DIGITS, "-b", "host", "--no-build", "-o", "h")[0] == 0
    refused(tte("export", "h", "--npu", "-o", "r"), "no calls on an npu")
    assert not (tmp_path / "r").exists()
