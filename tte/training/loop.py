"""The loop of training: epochs of examples in drawn order, a rate that rises and falls, tests between. Floor 8."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from tte.data.dataset import Dataset, Inputs, Samples
from tte.data.feed import Pixels
from tte.ends import after, before, own_inputs, own_outputs
from tte.errors import TteError
from tte.ir import Module
from tte.op import Arrays
from tte.training.course import Course, Epoch, Schedule
from tte.types import Array, DType

CHUNK = 256  # examples that a learner is given at a time
Tell: TypeAlias = Callable[[int, Epoch | None], None]


class Learner(Protocol):
    """What infers and trains one example at a time, from the states that it was left in."""

    def infer(self, samples: Sequence[Arrays]) -> Sequence[Arrays]:
        """The outputs of the graph `infer` for its inputs."""
        ...

    def train(self, examples: Sequence[Arrays], rates: Sequence[float]) -> Sequence[Arrays]:
        """The outputs of `train_step`, which are the loss and the scores, for its inputs; a rate for each."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """A data set as the inputs of a module's device graphs."""

    module: Module
    data: Dataset
    inputs: Inputs

    def image(self, x: Array) -> Arrays:
        """A sample as the inputs of `infer`."""
        return before(self.module, self.inputs(x))

    def example(self, x: Array, label: int) -> Arrays:
        """A sample and what it shall become as the inputs of `train_step`."""
        wanted = self.module.graph("train_step").ins[-1].type
        if wanted.dtype is DType.F32:
            return (*self.image(x), np.eye(wanted.size, dtype=np.float32)[label].reshape(wanted.shape))
        return (*self.image(x), np.full(wanted.shape, label, np.int32))


def lessons(module: Module, data: Dataset, pixels: Pixels) -> Lessons:
    """Check that the data and the module fit each other."""
    outputs = own_outputs(module)[0].type.size
    if len(data.classes) > outputs or (data.named and len(data.classes) != outputs):
        hint = f"tte compile --head {len(data.classes)}"
        raise TteError("--data", f"has {len(data.classes)} classes, the model {outputs} outputs", hint)
    return Lessons(module, data, Inputs(own_inputs(module)[0], pixels))


def train(learner: Learner, given: Lessons, epochs: int, schedule: Schedule, seed: int, tell: Tell) -> Course:
    """Train; `tell` hears how many examples were seen or tested since it heard last, and of each epoch when it ends."""
    rng, data = np.random.default_rng(seed), given.data
    first = _tested(learner, given, Epoch(0, None, None, None, ()), tell)
    course, losses = [first], list[float]()
    for number in range(1, epochs + 1):
        order = rng.permutation(len(data.train))
        right = 0
        for places in _chunks(order):
            found = _learn(learner, given, places, [schedule.at(len(losses) + i) for i in range(len(places))])
            losses += [float(loss.ravel()[0]) for loss, _ in found]
            if not all(map(math.isfinite, losses[-len(places) :])):
                raise TteError("--rate", f"the loss is no number any more in epoch {number}", "choose a lower rate")
            labels = data.train.labels[places]
            right += sum(int(s.argmax() == y) for (_, s), y in zip(found, labels, strict=True))
            tell(len(places), None)
        loss = float(np.mean(losses[-len(order) :]))
        course.append(_tested(learner, given, Epoch(number, loss, right / len(order), None, ()), tell))
    return Course(tuple(course), tuple(losses))


def correct(learner: Learner, given: Lessons, samples: Samples, tell: Tell) -> Array:
    """For each sample, whether the highest of the model's outputs is its label's."""
    found: list[bool] = []
    for places in _chunks(np.arange(len(samples))):
        outputs = learner.infer([given.image(samples.x[i]) for i in places])
        own = [after(given.module, arrays)[0] for arrays in outputs]
        found += [int(y.argmax()) == label for y, label in zip(own, samples.labels[places].tolist(), strict=True)]
        tell(len(places), None)
    return np.asarray(found, np.bool_)


def _learn(learner: Learner, given: Lessons, places: Array, rates: list[float]) -> Sequence[Arrays]:
    samples = given.data.train
    return learner.train([given.example(samples.x[i], int(samples.labels[i])) for i in places], rates)


def _tested(learner: Learner, given: Lessons, epoch: Epoch, tell: Tell) -> Epoch:
    """The epoch with its tests, if there are any."""
    tests, share, each = given.data.test, None, tuple[float | None, ...]()
    if len(tests):
        found = correct(learner, given, tests, tell)
        share = float(found.mean())
        members = [found[tests.labels == c] for c in range(len(given.data.classes))]
        each = tuple(float(m.mean()) if len(m) else None for m in members)
    done = Epoch(epoch.number, epoch.loss, epoch.train, share, each)
    tell(0, done)
    return done


def _chunks(places: Array) -> Iterator[Array]:
    return (places[i : i + CHUNK] for i in range(0, len(places), CHUNK))
