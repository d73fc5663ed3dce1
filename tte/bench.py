"""What training by a plan brings: the generated trainer of the host learns, and is tested on what it hasn't seen. Floor 9.

Layers that no plan trains are computed once (tte.tail), and their results are what the trainer gets.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tte.course import Schedule
from tte.dataset import Samples
from tte.device import Device
from tte.driver import Options, Training, compile_model
from tte.emulate import build
from tte.errors import TteError
from tte.ir import Module
from tte.op import Arrays
from tte.plan import TrainPlan
from tte.tail import tail, trunk
from tte.target import Board, load_board
from tte.train_run import CHUNK, Lessons
from tte.types import Array

HOST = "host"


@dataclass(frozen=True, slots=True)
class Score:
    """Of the held-out samples: the share that is right, and the mean probability that their own classes get.

    The second, which moves with every sample, tells plans apart by far fewer of them.
    """

    right: float
    sure: float


@dataclass(frozen=True, slots=True, eq=False)
class Cards:
    """Samples as the inputs of a tail, and what each is."""

    x: tuple[Array, ...]
    labels: Array

    def examples(self, places: Array, orders: Sequence[Array]) -> list[Arrays]:
        """The inputs of `train_step`, their channels ordered."""
        moved = [x[places][..., order] for x, order in zip(self.x, orders, strict=True)]
        return [(*(x[i] for x in moved), self.labels[place : place + 1]) for i, place in enumerate(places)]


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """All that a measurement takes, so that it can be sent to another process or machine.

    `module` has its head, and is cut at the values called `names`, which `learn` and `held` hold.
    """

    module: Module
    training: Training
    names: tuple[str, ...]
    learn: Cards
    held: Cards
    rate: float
    seed: int

    def score(self, plan: TrainPlan, epochs: int) -> Score:
        """Train by a plan, from the start, and test."""
        board = load_board(HOST)
        module, orders = tail(self.module, replace(self.training, plan=plan), self.names, board)
        with tempfile.TemporaryDirectory(prefix="tte-") as name:
            device = _device(module, Path(name), board)
            device.states = {"clock": np.array([0, self.seed], np.int32)}
            rng, n = np.random.default_rng(self.seed), len(self.learn.labels)
            order = np.concatenate([rng.permutation(n) for _ in range(epochs)])
            schedule = Schedule(self.rate, len(order))
            for at in range(0, len(order), CHUNK):
                places = order[at : at + CHUNK]
                rates = [schedule.at(at + i) for i in range(len(places))]
                device.train(self.learn.examples(places, orders), rates)
            every = np.arange(len(self.held.labels))
            # Steps of rate 0 change nothing, and tell the probabilities.
            found = device.train(self.held.examples(every, orders), [0.0] * len(every))
        p = np.stack([scores.ravel() for _, scores in found])
        if not np.isfinite(p).all():
            return Score(0.0, 0.0)
        return Score(float((p.argmax(1) == self.held.labels).mean()), float(p[every, self.held.labels].mean()))


def cards(module: Module, names: tuple[str, ...], given: Lessons, parts: Sequence[Samples]) -> list[Cards]:
    """The values called `names` for samples."""
    board = load_board(HOST)
    cut, outer = trunk(module, names, board), module.graph("infer").ins
    outs = cut.graph("infer").outs
    found: list[Cards] = []
    with tempfile.TemporaryDirectory(prefix="tte-") as folder:
        device = _device(cut, Path(folder), board) if outs else None
        for part in parts:
            images = [given.image(x) for x in part.x]
            made = device.infer(images) if device else [()] * len(images)
            rows = [
                {v.name: a for v, a in zip((*outer, *outs), (*image, *results), strict=True)}
                for image, results in zip(images, made, strict=True)
            ]
            found.append(Cards(tuple(np.stack([row[n] for row in rows]) for n in names), part.labels))
    return found


def _device(module: Module, folder: Path, board: Board) -> Device:
    compiled = compile_model(module, board, Options(memory="fast", simplify=()))
    compiled.write(folder)
    return Device(compiled.module, build(folder, board), board)


def drawn(samples: Samples, learn: int, held: int, seed: int) -> tuple[Samples, Samples]:
    """At most so many to learn from and so many to test on, each class in its proportion; TteError if too few."""
    rng, n = np.random.default_rng(seed), len(samples)
    order = rng.permutation(n)
    labels = samples.labels[order]
    rank = np.empty(n)  # of a sample within its class, as a share
    for label in np.unique(labels):
        mine = labels == label
        rank[mine] = (np.arange(mine.sum()) + 0.5) / mine.sum()
    order = order[np.argsort(rank, kind="stable")]
    tested = min(held, n // 3)
    if not tested:
        raise TteError("--data", f"has {n} samples to learn from, too few to hold some back")
    return samples.only(order[tested : tested + learn]), samples.only(order[:tested])
