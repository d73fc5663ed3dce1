"""What a training brings: the generated trainer of the host learns, and is tested on what it hasn't seen.

Layers that are never trained are computed once (tte.training.tail); their results are what the trainer gets. Floor 9.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tte.data.dataset import Samples
from tte.driver import Options, compile_model
from tte.errors import TteError
from tte.ir import Module
from tte.op import Arrays
from tte.passes.simplify.dce import dce
from tte.running.device import Device
from tte.running.emulate import build
from tte.target import load_board
from tte.training.course import Schedule
from tte.training.loop import CHUNK, Lessons
from tte.training.tail import trunk
from tte.types import Array, Bytes

HOST = load_board("host")


@dataclass(frozen=True, slots=True)
class Score:
    """Of samples that were held back: the share that is right, and the mean probability of their own classes.

    The second moves with every sample, and so tells plans apart by far fewer of them.
    """

    right: float
    sure: float


@dataclass(frozen=True, slots=True, eq=False)
class Cards:
    """Samples as what a trainer takes, each array of all of them, and their classes."""

    x: tuple[Array, ...]
    labels: Array

    def ordered(self, orders: Sequence[Array]) -> Cards:
        """The same with other orders of the channels."""
        return replace(self, x=tuple(np.ascontiguousarray(x[..., o]) for x, o in zip(self.x, orders, strict=True)))

    def examples(self, places: Array) -> list[Arrays]:
        """The inputs of `train_step` for some of them."""
        return [(*(x[i] for x in self.x), self.labels[i : i + 1]) for i in places]


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What is learned, what is tested, and how: at a rate that rises and falls, in an order that the seed draws."""

    learn: Cards
    held: Cards
    rate: float
    seed: int

    def ordered(self, orders: Sequence[Array]) -> Lesson:
        """The same with other orders of the channels."""
        return replace(self, learn=self.learn.ordered(orders), held=self.held.ordered(orders))


@dataclass(frozen=True, slots=True, eq=False)
class Trainer:
    """A built trainer, which can be sent to another process, or to another machine of this one's kind."""

    module: Module
    program: Bytes

    def score(self, lesson: Lesson, states: Mapping[str, Array], epochs: int) -> Score:
        """Train from the start, but for these states, and test."""
        with tempfile.TemporaryDirectory(prefix="tte-") as folder:
            elf = Path(folder) / "model.elf"
            elf.write_bytes(self.program)
            elf.chmod(0o700)
            device = Device(self.module, elf, HOST)
            device.states = {"clock": np.array([0, lesson.seed], np.int32), **states}
            rng, n = np.random.default_rng(lesson.seed), len(lesson.learn.labels)
            order = np.concatenate([rng.permutation(n) for _ in range(epochs)])
            schedule = Schedule(lesson.rate, len(order))
            for at in range(0, len(order), CHUNK):
                places = order[at : at + CHUNK]
                device.train(lesson.learn.examples(places), [schedule.at(at + i) for i in range(len(places))])
            every = np.arange(len(lesson.held.labels))
            p = np.stack([scores.ravel() for _, scores in device.infer(lesson.held.examples(every))])
        if not np.isfinite(p).all():
            return Score(0.0, 0.0)
        return Score(float((p.argmax(1) == lesson.held.labels).mean()), float(p[every, lesson.held.labels].mean()))


def trainer(module: Module) -> Trainer:
    """Build one, whose `infer` also takes the label, and returns what `train_step` does."""
    step = module.graph("train_step")
    graphs = (replace(step, name="infer", updates=()), step)
    module = dce(replace(module, graphs=graphs, host=()), HOST)
    with tempfile.TemporaryDirectory(prefix="tte-") as folder:
        return Trainer(module, _built(module, Path(folder)).read_bytes())


def cards(
    module: Module, names: tuple[str, ...], given: Lessons, samples: Samples, tell: Callable[[int, str], None]
) -> Cards:
    """The values called `names` for samples; `given` says what the module's input makes of them."""
    cut, outer = trunk(module, names, HOST), module.graph("infer").ins
    outs = cut.graph("infer").outs
    rows: list[dict[str, Array]] = []
    with tempfile.TemporaryDirectory(prefix="tte-") as folder:
        device = Device(cut, _built(cut, Path(folder)), HOST) if outs else None
        for at in range(0, len(samples), CHUNK):
            images = [given.image(x) for x in samples.x[at : at + CHUNK]]
            made = device.infer(images) if device else [()] * len(images)
            known = [v.name for v in (*outer, *outs)]
            rows += [dict(zip(known, (*a, *b), strict=True)) for a, b in zip(images, made, strict=True)]
            tell(len(images), "")
    return Cards(tuple(np.stack([row[n] for row in rows]) for n in names), samples.labels)


def drawn(samples: Samples, learn: int, held: int, seed: int) -> tuple[Samples, Samples]:
    """At most so many to learn from and so many to test on, each class in its proportion; TteError if too few."""
    rng, n = np.random.default_rng(seed), len(samples)
    order = rng.permutation(n)
    labels, rank = samples.labels[order], np.empty(n)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = order[np.argsort(rank, kind="stable")]
    tested = min(held, n // 3)
    if not tested:
        raise TteError("--data", f"has {n} samples to learn from, too few to hold some back")
    return samples.only(order[tested : tested + learn]), samples.only(order[:tested])


def _built(module: Module, folder: Path) -> Path:
    compile_model(module, HOST, Options(memory="fast", simplify=())).write(folder)
    return build(folder, HOST)
