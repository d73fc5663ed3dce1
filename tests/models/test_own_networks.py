"""A user's own small network learns by the command line alone: float or int8, ONNX or TFLite, new or trained."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from commands import Call, refused
from conftest import usable
from own_networks import OWN, write_some

from tte.types import Array

DIVIDED = ("--std", str(1 / 255))  # pixels of 0 to 255 as they are


@dataclass(frozen=True)
class Case:
    """A network, how it is compiled and trained, and by how much its accuracy must rise in one epoch."""

    model: str  # of OWN, or a file
    data: str
    train: int
    rise: float
    compile: tuple[str, ...] = ()
    feed: tuple[str, ...] = ()

    def path(self, shared: Path) -> str:
        if self.model not in OWN:
            return str(shared / "models" / self.model)
        onnx.save(OWN[self.model](), f"{self.model}.onnx")
        return f"{self.model}.onnx"


HEAD = ("--plan", "last-6", "--head", "10")
ADAM = ("--optimizer", "adam")
CASES = {
    "mlp": Case("mlp", "digits", 400, 0.4, ADAM),
    "mlp_int8": Case("mlp_int8", "digits", 400, 0.3, ADAM),
    "dscnn": Case("dscnn", "words", 240, 0.08, ADAM),
    "kws_int8": Case("mlperf_kws_dscnn_int8.tflite", "commands", 600, 0.1, ("--plan", "full", "--head", "12")),
    "resnet8_int8": Case("mlperf_ic_resnet8_int8.tflite", "things", 200, 0.06, HEAD),
    "resnet8_f32": Case("mlperf_ic_resnet8_f32.tflite", "things", 200, 0.06, HEAD, DIVIDED),
}


@pytest.mark.parametrize("name", CASES)
def test_learns(name: str, tte: Call, shared: Path) -> None:
    usable("host")
    case = CASES[name]
    write_some(shared, case.data, Path("data.npz"), case.train, 100)
    code, _, err = tte("compile", case.path(shared), "-b", "host", "--train", "--no-build", *case.compile, "-o", "p")
    assert code == 0, err
    code, out, err = tte("train", "p", "--data", "data.npz", "--epochs", "1", *case.feed, "--json")
    assert code == 0, err
    told = json.loads(out)
    before, after = (e["test"] for e in told["epochs"])
    assert all(map(math.isfinite, told["losses"]))
    assert after >= before + case.rise


@pytest.mark.parametrize("name", ["mlp_int8", "kws_int8", "resnet8_int8"])
def test_a_microcontroller_learns_the_same_bits(name: str, tte: Call, shared: Path) -> None:
    """Three steps on a Cortex-M4 with 256 KB, in the least memory."""
    for board in ("host", "cortex-m4"):
        usable(board)
    case = CASES[name]
    plan, head = "full" if name == "mlp_int8" else "last-1", ("--head", "10") if "resnet8" in name else ()
    write_some(shared, case.data, Path("data.npz"), 3, 1)
    code, _, err = tte(
        *("compile", case.path(shared), "-b", "cortex-m4", "--train", "--no-build", "--memory", "smallest"),
        *("--plan", plan, *head, "-o", "p"),
    )
    assert code == 0, err
    found = [_trained(tte, board) for board in ("host", "cortex-m4")]
    assert found[0].keys() == found[1].keys()
    assert all(np.array_equal(a, found[1][k]) for k, a in found[0].items())
    assert found[0]["clock"][0] == 3


def _trained(tte: Call, board: str) -> Mapping[str, Array]:
    """The states after an epoch on a board."""
    code, _, err = tte("train", "p", "--data", "data.npz", "--epochs", "1", "--board", board, "--out", f"{board}.npz")
    assert code == 0, err
    with np.load(f"{board}.npz") as saved:
        return dict(saved)


def test_what_does_not_fit_is_refused(tte: Call, shared: Path) -> None:
    """An arena larger than the board's memory: one line, and no project."""
    model = CASES["resnet8_f32"].path(shared)
    refused(tte("compile", model, "-b", "cortex-m4", "--train", "--no-build", "-o", "p"), "sram")
    assert not Path("p").exists()


def test_data_that_does_not_fit_is_refused(tte: Call, shared: Path) -> None:
    """Each in one line that says what is wrong."""
    usable("host")
    model = CASES["mlp"].path(shared)
    compile_ = ("compile", model, "-b", "host", "--train", "--no-build", "-o")
    refused(tte(*compile_, "q", "--plan", "last-99"), "99")
    Path("missing.toml").write_text('biases = ["nowhere"]\n')
    refused(tte(*compile_, "q", "--plan", "missing.toml"), "nowhere")
    assert not Path("q").exists()
    assert tte(*compile_, "p")[0] == 0
    x, y = np.zeros((4, 28, 28), np.uint8), np.arange(4)
    wrong: dict[str, tuple[dict[str, Array], str]] = {
        "label": ({"x": x, "y": y + 10}, "14 classes, the model 10 outputs"),
        "negative": ({"x": x, "y": y - 1}, "class numbers"),
        "shape": ({"x": x[:, :20], "y": y}, "784"),
        "count": ({"x": x[:3], "y": y}, "3 samples"),
        "empty": ({"x": x[:0], "y": y[:0]}, "two classes"),
    }
    for name, (held, said) in wrong.items():
        np.savez(f"{name}.npz", **held, allow_pickle=False)
        refused(tte("train", "p", "--data", f"{name}.npz"), said)
