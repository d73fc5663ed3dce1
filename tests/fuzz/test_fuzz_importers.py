"""Truncated and bit-flipped models: each compiles, or is refused in one line; no crash, no hang, no traceback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tflite_builder as tfl
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
DIGITS = HERE.parents[1] / "examples" / "digits" / "digits-int8.onnx"
SMALLEST = 100_000  # bytes: larger models take long, and nearly all of their bits are weights


def tflite_model() -> bytes:
    """Each kind of operator that the MLPerf networks have, in int8."""
    rng = np.random.default_rng(3)

    def weights(*shape: int, axis: int = 0) -> tfl.T:
        return tfl.T.constant(
            rng.integers(-127, 128, shape, np.int8), [0.01 + 0.001 * i for i in range(shape[axis])], 0, axis
        )

    def bias(n: int) -> tfl.T:
        return tfl.T.constant(rng.integers(-500, 500, n, np.int32), [0.0005] * n)

    def s8(*shape: int, scale: float = 0.05, zero: int = 0) -> tfl.T:
        return tfl.T(shape, "i1", scale, zero)

    tensors = [s8(1, 8, 8, 3), weights(4, 3, 3, 3), bias(4), s8(1, 8, 8, 4)]
    tensors += [weights(1, 3, 3, 4, axis=3), bias(4), s8(1, 4, 4, 4), s8(1, 4, 4, 4), s8(1, 1, 1, 4)]
    tensors += [tfl.T.constant(np.array([1, 4], np.int32)), s8(1, 4), weights(5, 4), bias(5), s8(1, 5, scale=0.1)]
    tensors += [s8(1, 5, scale=1 / 256, zero=-128)]
    stride = {"StrideH": 1, "StrideW": 1}
    window = {"StrideH": 4, "StrideW": 4, "FilterHeight": 4, "FilterWidth": 4}
    ops = [
        tfl.Op("CONV_2D", [0, 1, 2], [3], "Conv2DOptions", {**stride, "DilationHFactor": 1, "DilationWFactor": 1}),
        tfl.Op(
            "DEPTHWISE_CONV_2D",
            [3, 4, 5],
            [6],
            "DepthwiseConv2DOptions",
            {"StrideH": 2, "StrideW": 2, "DepthMultiplier": 1, "DilationHFactor": 1, "DilationWFactor": 1},
        ),
        tfl.Op("ADD", [6, 6], [7], "AddOptions"),
        tfl.Op("AVERAGE_POOL_2D", [7], [8], "Pool2DOptions", window),
        tfl.Op("RESHAPE", [8, 9], [10], "ReshapeOptions"),
        tfl.Op("FULLY_CONNECTED", [10, 11, 12], [13], "FullyConnectedOptions"),
        tfl.Op("SOFTMAX", [13], [14], "SoftmaxOptions", {"Beta": 1.0}),
    ]
    return tfl.build(tensors, ops, [0], [14])


def onnx_model() -> bytes:
    """Floats: what shape arithmetic, resizing, joining and fusing have to read."""
    rng = np.random.default_rng(4)

    def constant(name: str, value: np.ndarray) -> TensorProto:  # type: ignore[type-arg]
        return numpy_helper.from_array(value, name)

    f4 = np.float32
    constants = [constant("w", rng.standard_normal((4, 2, 3, 3)).astype(f4)), constant("b", np.zeros(4, f4))]
    constants += [constant(n, np.ones(4, f4)) for n in ("scale", "shift", "mean", "var")]
    constants += [constant("scales", np.array([1, 1, 2, 2], f4)), constant("shape", np.array([1, -1]))]
    constants += [
        constant("m", rng.standard_normal((200, 3)).astype(f4)),
        constant("pads", np.array([0, 0, 1, 1, 0, 0, 0, 0])),
    ]
    node = helper.make_node
    nodes = [
        node("Pad", ["x", "pads"], ["padded"]),
        node("Conv", ["padded", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c", "scale", "shift", "mean", "var"], ["n"]),
        node("Clip", ["n"], ["r"]),
        node("HardSwish", ["r"], ["h"]),
        node("MaxPool", ["h"], ["p"], kernel_shape=[2, 2], strides=[1, 1]),
        node("Resize", ["p", "", "scales"], ["u"], mode="nearest"),
        node("AveragePool", ["u"], ["a"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Concat", ["a", "a"], ["cat"], axis=1),
        node("Transpose", ["cat"], ["t"], perm=[0, 2, 3, 1]),
        node("Reshape", ["t", "shape"], ["f"]),
        node("MatMul", ["f", "m"], ["y"]),
        node("Softmax", ["y"], ["z"], axis=1),
    ]
    ends = [helper.make_tensor_value_info("x", 1, [1, 2, 5, 5]), helper.make_tensor_value_info("z", 1, [1, 3])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, two models that are made here, and those beside the repository that are small."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(DIGITS, folder)
    (folder / "small.tflite").write_bytes(tflite_model())
    (folder / "small.onnx").write_bytes(onnx_model())
    return folder


def cases(models: Path, first: int, last: int) -> list[str]:
    """What went wrong in these cases; a worker that dies or hangs is followed by another."""
    wrong = []
    while first < last:
        argv = [sys.executable, str(HERE / "damage.py"), str(models), str(first), str(last)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
            try:
                said, errors = worker.communicate(timeout=60 + (last - first))
            except subprocess.TimeoutExpired:
                worker.kill()
                said, errors = worker.communicate()
        lines = said.splitlines()
        at = [i for i, line in enumerate(lines) if line.startswith("case ")]
        wrong += [f"{lines[i - 1]}: {line}" for i, line in enumerate(lines) if line.startswith("wrong ")]
        if lines[-1:] == ["done"]:
            return wrong
        if not at:
            return [*wrong, f"the worker does not start: {errors[-500:]}"]
        wrong.append(f"{lines[at[-1]]}: the worker ended with {worker.returncode}: {errors[-300:]}")
        first = int(lines[at[-1]].split()[1]) + 1
    return wrong


def test_whole_models_compile(models: Path) -> None:
    """Else the cases below would say little."""
    for model in models.iterdir():
        argv = [sys.executable, "-c", "from tte.cli.main import app; app()", "compile", str(model), "--board", "host"]
        argv += ["--no-build", "-o", str(models.parent / f"{model.name}.c")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (model.name, done.stderr)


@pytest.mark.parametrize("part", range(6))
def test_damaged_models(models: Path, part: int) -> None:
    assert cases(models, part * 500, part * 500 + 500) == []


@pytest.mark.full
@pytest.mark.parametrize("part", range(40))
def test_damaged_models_many(models: Path, part: int) -> None:
    assert cases(models, 10_000 + part * 1000, 11_000 + part * 1000) == []


@pytest.mark.full
@pytest.mark.parametrize("part", range(4))
def test_damaged_real_models(shared: Path, tmp_path: Path, part: int) -> None:
    for model in (shared / "models").iterdir():
        if model.suffix in {".tflite", ".onnx"} and model.stat().st_size < SMALLEST:
            shutil.copy(model, tmp_path)
    assert len([*tmp_path.iterdir()]) >= 3
    assert cases(tmp_path, part * 250, part * 250 + 250) == []
