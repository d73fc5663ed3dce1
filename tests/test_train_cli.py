"""Training from the command line: the loop, its schedule, its pictures, and what `tte train` prints and refuses."""

from __future__ import annotations

import itertools
import json
import math
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from commands import DIGITS, Call, refused
from conftest import installed, usable

from tte.codegen.svg import svg
from tte.data.dataset import Dataset, Inputs, Samples
from tte.data.feed import Pixels
from tte.errors import TteError
from tte.interp import interpret
from tte.ir import Builder, Module
from tte.op import Arrays
from tte.ops.linear import Linear
from tte.pictures.curves import curves
from tte.pictures.picture import WIDTH, Line, Text
from tte.pictures.png import write_png
from tte.training.course import Course, Epoch, Schedule
from tte.training.loop import Lessons, lessons, train
from tte.types import DType, TensorType

F32 = DType.F32


def blobs(n: int, seed: int) -> Samples:
    """Three classes of points, far apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n, dtype=np.int32) % 3
    return Samples((np.eye(4)[labels] * 3 + rng.normal(0, 0.3, (n, 4))).astype(np.float32), labels)


def network() -> Module:
    """infer: y[1,3] = x[1,4] . w + b; train_step here only has the right inputs."""
    b = Builder("infer")
    x = b.input("x", TensorType((1, 4), F32))
    w = b.constant("w", TensorType((3, 4), F32), np.zeros((3, 4), np.float32))
    (y,) = b.emit(Linear(), x, w, b.constant("b", TensorType((3,), F32), np.zeros(3, np.float32)))
    step = Builder("train_step", b.states)
    image, _ = step.input("x", x.type), step.input("label", TensorType((1,), DType.S32))
    (p,) = step.emit(Linear(), image, *(s.value for s in b.states))
    return Module("toy", tuple(b.states), (b.finish(y), step.finish(p)))


class Softmax:
    """Softmax regression in numpy, as a learner."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.states = {s.value.name: s.init.copy() for s in module.states}
        self.rates: list[float] = []
        self.seen: list[int] = []

    def infer(self, samples: Sequence[Arrays]) -> list[Arrays]:
        graph = self.module.graph("infer")
        found = (interpret(graph, {graph.ins[0].name: x}, self.states)[0] for (x,) in samples)
        return [tuple(y.values()) for y in found]

    def train(self, examples: Sequence[Arrays], rates: Sequence[float]) -> list[Arrays]:
        found: list[Arrays] = []
        for (x, label), rate in zip(examples, rates, strict=True):
            ((y,),) = self.infer([(x,)])
            p = np.exp(y - y.max()) / np.exp(y - y.max()).sum()
            found.append((-np.log(p[:, label[0]]), p))
            slope = p - np.eye(3)[label]
            self.states["w"] = (self.states["w"] - rate * slope.T @ x).astype(np.float32)
            self.states["b"] = (self.states["b"] - rate * slope[0]).astype(np.float32)
            self.seen.append(round(float(x.sum()) * 1e4))
        self.rates += rates
        return found


def given(train: int = 60, tests: int = 30) -> Lessons:
    data = Dataset(("0", "1", "2"), named=False, train=blobs(train, 1), test=blobs(tests, 2))
    return lessons(network(), data, Pixels())


def test_a_rate_rises_and_falls() -> None:
    schedule = Schedule(0.4, 200)
    rates = [schedule.at(i) for i in range(200)]
    assert rates[0] == 0.04
    assert rates[9] == rates[10] == max(rates) == 0.4
    assert rates[105] == pytest.approx(0.2)
    assert 0 < rates[-1] < 1e-4
    assert all(a < b for a, b in itertools.pairwise(rates[:10]))
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert [Schedule(1.0, 1).at(0), Schedule(1.0, 2).at(1)] == [1.0, 1.0]


def test_training_learns_and_repeats_itself() -> None:
    told: list[Epoch] = []
    heard = 0

    def tell(done: int, epoch: Epoch | None) -> None:
        nonlocal heard
        heard += done
        told.extend([epoch] if epoch else [])

    lessons, learner = given(), Softmax(network())
    course = train(learner, lessons, 3, Schedule(0.1, 180), 5, tell)
    assert list(course.epochs) == told
    assert heard == 3 * 60 + 4 * 30
    assert [e.number for e in course.epochs] == [0, 1, 2, 3]
    assert course.epochs[0].test == pytest.approx(1 / 3)
    assert course.epochs[0].tested == (1.0, 0.0, 0.0)
    assert course.epochs[-1].test == course.epochs[-1].train == 1.0
    assert course.epochs[1].loss == pytest.approx(np.mean(course.losses[:60]))
    assert learner.rates == [Schedule(0.1, 180).at(i) for i in range(180)]
    epochs = [learner.seen[60 * i : 60 * (i + 1)] for i in range(3)]
    assert len({tuple(e) for e in epochs}) == 3
    assert len({tuple(sorted(e)) for e in epochs}) == 1
    again, other = Softmax(network()), Softmax(network())
    assert train(again, lessons, 3, Schedule(0.1, 180), 5, tell) == course
    train(other, lessons, 3, Schedule(0.1, 180), 6, tell)
    assert again.seen == learner.seen != other.seen


def test_without_tests_and_without_sense() -> None:
    course = train(Softmax(network()), given(tests=0), 1, Schedule(0.1, 60), 0, lambda *_: None)
    assert course.epochs[-1].test is None
    assert "right before" not in curves(course, "toy").caption
    with pytest.raises(TteError, match="lower rate"), np.errstate(all="ignore"):
        train(Softmax(network()), given(), 1, Schedule(math.inf, 60), 0, lambda *_: None)


def test_classes_must_fit_the_head() -> None:
    three = blobs(6, 1)
    for classes, named in ((("a", "b"), True), (("a", "b", "c", "d"), True), (tuple("0123"), False)):
        with pytest.raises(TteError, match=f"{len(classes)} classes, the model 3 outputs"):
            lessons(network(), Dataset(classes, named, three, three), Pixels())
    lessons(network(), Dataset(("0", "1"), False, three, three), Pixels())


def test_targets_for_mean_squared_error() -> None:
    module, target = network(), Builder("train_step")
    x, y = target.input("x", TensorType((1, 4), F32)), target.input("target", TensorType((1, 3), F32))
    found = Lessons(
        Module("toy", module.states, (module.graphs[0], target.finish(x, y))),
        given().data,
        Inputs(module.graphs[0].ins[0], Pixels()),
    ).example(np.ones(4, np.float32), 2)
    assert found[1].tolist() == [[0, 0, 1]]


def test_curves(tmp_path: Path) -> None:
    """Each curve rises and falls as its numbers do, and keeps within the picture."""
    rows = [(1, 0.9, 0.4, 0.35), (2, 0.5, 0.7, 0.6), (3, 0.25, 0.9, 0.75)]
    epochs = (Epoch(0, None, None, 0.2, ()), *(Epoch(*row, ()) for row in rows))
    losses = tuple(np.linspace(1.1, 0.2, 900).tolist())
    picture = curves(Course(epochs, losses), "toy")
    for kind, points in (("limit", 2 + 2), ("point", 3), ("activation", 199)):
        lines = [s for s in picture.shapes if isinstance(s, Line) and s.kind == kind]
        assert len(lines) == points
        assert all(0 <= v <= WIDTH for s in lines for v in (s.x, s.to_x))
        assert all(0 <= v <= picture.height for s in lines for v in (s.y, s.to_y))
    tests = [s for s in picture.shapes if isinstance(s, Line) and s.kind == "point"]
    grid = {s.text: s.y for s in picture.shapes if isinstance(s, Text)}
    assert tests[0].y - tests[-1].to_y == pytest.approx((grid["20"] - grid["40"]) / 20 * 55, abs=0.1)
    assert "20.0% were right before, 75.0% are after" in picture.caption
    drawn = svg(picture)
    assert drawn.startswith("<svg xmlns=")
    assert drawn.count("<line ") == sum(isinstance(s, Line) for s in picture.shapes) + 1  # one in the pattern
    installed("matplotlib")
    write_png(tmp_path / "c.png", [picture])
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


TURN = Path(__file__).parents[1] / "examples" / "digits" / "turn.py"


@pytest.fixture
def turned(tte: Call) -> str:
    """The example's data: a tenth of it."""
    runpy.run_path(str(TURN))["main"](Path("turned.npz"))
    with np.load("turned.npz") as every:
        np.savez("few.npz", **{k: v[:36] for k, v in every.items()})
    return "few.npz"


def test_train_learns_and_continues(tte: Call, turned: str) -> None:
    """Before, turned digits are rarely read; the weights that are saved are those that were tested last."""
    usable("host")
    assert tte("compile", DIGITS, "--board", "host", "--train", "--no-build", "-o", "p")[0] == 0
    code, out, err = tte(
        *("train", "p", "--data", "turned.npz", "--epochs", "3", "--rate", "0.004", "--json"),
        *("--out", "w.npz", "--picture", "c.svg"),
    )
    told = json.loads(out)
    assert (code, err, told["classes"]) == (0, "", list("0123456789"))
    assert told["epochs"][0]["test"] < 0.2
    assert told["epochs"][3]["test"] > 0.6
    assert len(told["losses"]) == 3 * 240
    assert Path("c.svg").read_text().startswith("<svg")
    with np.load("w.npz") as saved:
        assert saved["clock"].tolist() == [720, 0]
        assert saved["conv1_sum_w_dq"].dtype == np.int8
    code, out, _ = tte(
        "train", "p", "--data", turned, "--epochs", "1", "--weights", "w.npz", "--json", "--test", "turned.npz"
    )
    assert json.loads(out)["epochs"][0]["test"] == told["epochs"][3]["test"]
    table = tte("train", "p", "--data", turned, "--epochs", "1")[1]
    assert "tests of" in table


def test_an_ended_training_leaves_its_last_epoch(tte: Call, turned: str) -> None:
    """Ctrl-C loses an epoch at most; what was saved goes on."""
    usable("host")
    assert tte("compile", DIGITS, "--board", "host", "--train", "--no-build", "-o", "p")[0] == 0
    argv = ("train", "p", "--data", turned, "--epochs", "5000", "--out", "w.npz")
    heeds = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # which a CI's jobs may not
    process = subprocess.Popen(
        [sys.executable, "-c", f"{heeds}; from tte.cli.main import app; app()", *argv],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not _epochs("w.npz", 24):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait() not in (0, -signal.SIGKILL)
    assert b"Traceback" not in process.communicate()[1]
    assert 1 <= _epochs("w.npz", 24) < 5000
    assert tte("train", "p", "--data", turned, "--epochs", "1", "--weights", "w.npz")[0] == 0


def _epochs(path: str, steps: int) -> int:
    """Whole epochs that a saved training has seen."""
    if not Path(path).exists():
        return 0
    with np.load(path) as saved:
        assert saved["clock"][0] % steps == 0
        return int(saved["clock"][0]) // steps


def test_boards_and_seeds(tte: Call, turned: str) -> None:
    """The same seed gives the same bits on a microcontroller and here; another seed gives others."""
    for name in ("host", "cortex-m7"):
        usable(name)
    tte("compile", DIGITS, "--board", "cortex-m7", "--train", "--head", "10", "--no-build", "-o", "p")
    same = ("train", "p", "--data", turned, "--epochs", "1", "--json", "--out")
    results = [
        json.loads(tte(*same, "m7.npz")[1]),
        json.loads(tte(*same, "host.npz", "--board", "host")[1]),
        json.loads(tte(*same, "other.npz", "--board", "host", "--seed", "1")[1]),
    ]
    assert [r.pop("board") for r in results] == ["cortex-m7", "host", "host"]
    assert results[0] == results[1] != results[2]
    with np.load("m7.npz") as a, np.load("host.npz") as b, np.load("other.npz") as c:
        assert all(np.array_equal(a[n], b[n]) for n in a.files)
        assert not np.array_equal(a["conv2_sum_w_dq"], c["conv2_sum_w_dq"])


def test_wrong_training_command_lines(tte: Call, turned: str) -> None:
    usable("host")
    compile_ = ("compile", DIGITS, "--board", "host", "--no-build", "-o")
    refused(tte(*compile_, "q", "--plan", "full"), "--train", "is missing")
    refused(tte(*compile_, "q", "--train", "--plan", "most"), "head-only")
    refused(tte(*compile_, "q", "--train", "--optimizer", "newton"), "known: sgd")
    refused(tte(*compile_, "q", "--train", "--update", "nearest"), "known: stochastic")
    refused(tte(*compile_, "q", "--train", "--gradients", "int4"), "known: f32")
    refused(tte(*compile_, "q", "--train", "--head", "0"), "--head")
    refused(tte(*compile_, "q", "--train", "--accumulate", "0"), "accumulate")
    assert not Path("q").exists()
    small = ("compile", DIGITS, "--board", "cortex-m4", "-o", "q", "--train", "--sram", "12K")
    refused(tte(*small), "peak at", "a smaller --plan")
    assert tte(*small, "--plan", "bias-only", "--no-build")[0] == 0
    shutil.rmtree("q")
    tte(*compile_, "still")
    refused(tte("train", "still", "--data", turned), "does not train", "--train")
    tte(*compile_, "p", "--train", "--head", "3")
    refused(tte("train", "p", "--data", turned), "10 classes, the model 3 outputs", "--head 10")
    refused(tte("train", "p", "--data", "none.npz"), "none.npz", "no such")
    refused(tte("train", "p", "--data", turned, "--picture", "c.gif"), "c.gif")
    refused(tte("train", "nowhere", "--data", turned), "nowhere")
    three = np.load(turned)
    np.savez("three.npz", x=three["x"], y=three["y"] % 3, is_test=three["is_test"])
    refused(tte("train", "p", "--data", "three.npz", "--rate", "3e38"), "--rate", "lower")
    refused(tte("train", "p", "--data", "three.npz", "--weights", "three.npz"), "no state of this project")
    refused(tte("train", "p", "--data", "three.npz", "--weights", "none.npz"), "none.npz")


def test_a_training_step_is_counted(tte: Call) -> None:
    usable("cortex-m4")
    code, out, _ = tte("compile", DIGITS, "--board", "cortex-m4", "--train", "--plan", "bias-only", "-o", "p", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["training_instructions"] == sum(row["instructions"] for row in told["training_layers"])
    assert told["training_instructions"] > told["instructions"]
    code, out, _ = tte("report", "p")
    assert code == 0
    assert f"{told['training_instructions']:,}" in out
    assert f"{told['training_instructions']:,}" in Path("p/report.html").read_text()
    still = json.loads(tte("compile", DIGITS, "--board", "cortex-m4", "-o", "still", "--json")[1])
    assert still["training_instructions"] is None
    assert "training_layers" not in still
    assert told["stack_bytes"] >= still["stack_bytes"]
