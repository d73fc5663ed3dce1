"""Training from the command line: the loop, its schedule, its pictures, and what `tte train` prints and refuses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tte.codegen.svg import svg
from tte.course import Course, Epoch, Schedule
from tte.curves import curves
from tte.dataset import Dataset, Inputs, Samples
from tte.errors import TteError
from tte.feed import Pixels
from tte.interp import interpret
from tte.ir import Builder, Module
from tte.op import Arrays
from tte.ops.linear import Linear
from tte.picture import WIDTH, Line, Text
from tte.png import write_png
from tte.train_run import Lessons, lessons, train
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
    pytest.importorskip("matplotlib")
    write_png(tmp_path / "c.png", [picture])
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
