"""ONNX networks against ONNX Runtime: node by node, end to end, and what folding must leave."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import usable
from onnx_models import prepared, quantized
from onnx_oracle import everything, folded, node_by_node, session, tensors

from tte.driver import Options, compile_model
from tte.frontend.onnx import import_onnx
from tte.ops.quantize import Quantize
from tte.running.emulate import build, infer
from tte.types import Array, DType

MCUNET = "mcunet-5fps-int8.onnx"
FLOATS = {
    "mcunet-5fps-f32.onnx": 1e-5,
    "resnet20_cifar10_f32.onnx": 1e-5,
    "st_mobilenet_v2_0.35_128_flowers.onnx": 1e-5,
    "yunet_n_320.onnx": 1e-5,
}


def images(shared: Path, count: int) -> tuple[list[Array], list[int]]:
    """ImageNet samples [1,3,128,128] in [-1, 1] and their classes."""
    from PIL import Image  # noqa: PLC0415

    with zipfile.ZipFile(shared / "data" / "images" / "imagenet1000_128px.zip") as archive:
        names = sorted(n for n in archive.namelist() if not n.endswith("/"))
        names = names[:: len(names) // count][:count]
        pixels = [np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("RGB"), np.float32) for n in names]
    return [((p - 127.5) / np.float32(127.5)).transpose(2, 0, 1)[None] for p in pixels], [
        int(n.split("/")[1]) for n in names
    ]


def test_mcunet_folds_to_integers(shared: Path) -> None:
    """Nothing is float but the image, until it is quantised, and the logits, which no Quantize follows."""
    graph = folded(shared / "models" / MCUNET).graph("infer")
    floats = [n for n in graph.nodes if any(v.type.dtype is DType.F32 for v in (*n.ins, *n.outs))]
    assert [n.op.label() for n in floats] == ["quantize", "linear"]
    assert floats[1].outs == graph.outs
    assert sum(isinstance(n.op, Quantize) for n in graph.nodes) == 1


def check_nodes(shared: Path, count: int) -> None:
    """On ONNX Runtime's own inputs: at most 1 in 100,000 differs, by 1, within 1e-3 of a tie; floats to 1e-5."""
    path = shared / "models" / MCUNET
    model, module = onnx.load(path), folded(path)
    probe = everything(model)
    size = differ = seen = 0
    for image in images(shared, count)[0]:
        for c in node_by_node(module, model, tensors(probe, {"image": image})):
            seen += 1
            if c.ours.dtype == np.int8:
                assert c.wrong == 0, c.node
                size, differ = size + c.ours.size, differ + int((c.ours != c.theirs).sum())
            else:
                np.testing.assert_allclose(c.ours, c.theirs, rtol=1e-5, atol=1e-5 * np.abs(c.theirs).max())
    assert seen == 51 * count  # all but the transpose and the view
    assert differ <= size / 1e5


def test_mcunet_node_by_node(shared: Path) -> None:
    check_nodes(shared, 2)


@pytest.mark.full
def test_mcunet_node_by_node_on_many(shared: Path) -> None:
    check_nodes(shared, 50)


def top1(shared: Path, folder: Path, count: int) -> tuple[float, float]:
    """Ours, as compiled for the host, and ONNX Runtime's, in points."""
    path, board = shared / "models" / MCUNET, usable("host")
    given, wanted = images(shared, count)
    compiled = compile_model(import_onnx(path), board, Options(io=frozenset({"quantized"}), memory="fast"))
    compiled.write(folder)
    run = infer(compiled.module, build(folder, board), board, [(x,) for x in given], count=False)
    theirs = session(path.read_bytes())
    ours = [int(o[0].argmax()) for o in run.outputs]
    oracle = [int(theirs.run(None, {"image": x})[0].argmax()) for x in given]
    return 100 * float(np.mean(np.equal(ours, wanted))), 100 * float(np.mean(np.equal(oracle, wanted)))


@pytest.mark.full
def test_mcunet_keeps_its_accuracy(shared: Path, tmp_path: Path) -> None:
    ours, theirs = top1(shared, tmp_path, 1000)
    assert ours == pytest.approx(theirs, abs=0.3)
    assert ours >= 59


@pytest.mark.full
@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("name", ["resnet20_cifar10_f32.onnx", "st_mobilenet_v2_0.35_128_flowers.onnx"])
def test_networks_that_onnx_runtime_quantised(name: str, unsigned: bool, shared: Path) -> None:
    """Nothing but the ends stays float, and every node gives ONNX Runtime's integers."""
    model = onnx.load(shared / "models" / name)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    model = quantized(prepared(model), unsigned, True, True)
    module = folded(model.SerializeToString())
    floats = [n for n in module.graph("infer").nodes if any(v.type.dtype is DType.F32 for v in (*n.ins, *n.outs))]
    assert [n.op.label() for n in floats] == ["quantize", "dequantize"]
    port = model.graph.input[0]
    shape = [d.dim_value for d in port.type.tensor_type.shape.dim]
    image = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
    compared = [
        c for c in node_by_node(module, model, tensors(everything(model), {port.name: image})) if c.real is not None
    ]
    assert len(compared) >= 28
    assert not [c.node for c in compared if c.wrong]
    differ = sum(int((c.ours != c.theirs).sum()) for c in compared)
    assert differ <= 2 + sum(c.ours.size for c in compared) / 1e5


@pytest.mark.parametrize("name", FLOATS)
def test_float_networks_equal_onnx_runtime(name: str, shared: Path, tmp_path: Path) -> None:
    """Sums in another order: to 1e-5 of the greatest output."""
    path, board, rng = shared / "models" / name, usable("host"), np.random.default_rng(3)
    module = import_onnx(path)
    given = [
        tuple(rng.standard_normal(v.type.shape).astype(np.float32) for v in module.graph("infer").ins) for _ in (0, 1)
    ]
    compiled = compile_model(module, board, Options(memory="fast"))
    compiled.write(tmp_path)
    run = infer(compiled.module, build(tmp_path, board), board, given, count=False)
    theirs = session(path.read_bytes())
    for sample, outs in zip(given, run.outputs, strict=True):
        feeds = {i.name: x for i, x in zip(theirs.get_inputs(), sample, strict=True)}
        for a, b in zip(outs, theirs.run(None, feeds), strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=0, atol=FLOATS[name] * max(1.0, float(np.abs(b).max())))
