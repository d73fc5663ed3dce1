"""What matters when mcunet-5fps learns: plans, update rules, scaling; and the generated C beside torch's simulation.

    python benchmarks/training.py [--shared FOLDER] [--only WORD...] [--seeds 3] [--table]

Runs what build/training.jsonl lacks, one result a line, so that it may be stopped at any time, and prints the tables.
Words choose the runs whose line in the table, or data set, contains them all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import torch
from PIL import Image
from simulate import Network, Recipe, Rule, Tensors, accuracy, train

from tte.data.dataset import Dataset, Samples, read_dataset
from tte.data.feed import Pixels
from tte.driver import SIMPLIFY, Options, Training, compile_model, run_passes
from tte.ends import own_inputs
from tte.ir import Module
from tte.load import load_model
from tte.passes.quantize.io_quantized import io_quantized
from tte.passes.simplify.dce import dce
from tte.running.device import Device
from tte.running.emulate import build
from tte.target import load_board
from tte.training.learning import Learning
from tte.training.loop import correct, lessons
from tte.training.loop import train as learn
from tte.training.plan import TrainPlan, load_plan
from tte.types import Array

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "build" / "training.jsonl"
MODEL = "mcunet-5fps-int8.onnx"
PIXELS = Pixels((0.5,), (0.5,))
FILES = {"signs": "sign_digits_64px.zip", "clothing10": "clothing10_64px.zip", "flowers5": "flowers5_96px.zip"}
COPIES = 6  # of each sample, no two alike, seen once
SPARSE = "mcunet-5fps-99kb"
FOUND = "signs-90kb.toml"  # by `tte plan`, with as much memory as the 49 KB plan takes (README)
RULES: tuple[Rule, ...] = ("stochastic", "master", "nearest", "truncate")


@dataclass(frozen=True, slots=True)
class Run:
    """One training: what trains it, on which data, what of the network and how."""

    by: Literal["torch", "device"]
    data: str
    plan: str
    recipe: Recipe

    @property
    def line(self) -> str:
        """Its line in the table: all but data and seed."""
        r = self.recipe
        what = f"{self.plan}, {r.rule}, batch {r.batch}" + ("" if r.qas else ", no QAS")
        what += f", {r.epochs} epochs" if r.epochs > 1 else ""
        return f"{what}, {self.by}"

    @property
    def key(self) -> str:
        """All of it, as the file of results has it."""
        return json.dumps(asdict(self), sort_keys=True)


def runs(seeds: int) -> Iterator[Run]:
    """All that the tables show; what the bars ask for comes first."""
    eight = Recipe(batch=8, rule="residual8")
    slow = replace(eight, cap=0.006)  # project and depthwise weights train
    both = [Run("device", "", SPARSE, eight), Run("torch", "", SPARSE, eight)]
    both += [Run(by, "flowers5", SPARSE, replace(eight, epochs=2)) for by in ("device", "torch")]
    rest = [Run("torch", "", SPARSE, replace(eight, rule=r)) for r in RULES]
    rest += [Run("torch", "", SPARSE, replace(eight, qas=False))]
    rest += [Run("torch", "", p, eight) for p in ("head-only", "bias-only-22")] + [Run("torch", "", "last-12", slow)]
    plans = [Run("torch", "signs", p, eight) for p in (FOUND, "mcunet-5fps-49kb")]
    for some in (both, plans, rest):
        for seed in range(seeds):
            for data in FILES:
                found = (replace(r, data=data, recipe=replace(r.recipe, seed=seed)) for r in some)
                yield from (r for r, asked in zip(found, some, strict=True) if asked.data in ("", data))


def varied(samples: Samples, side: int, seed: int) -> Samples:
    """Copies of all samples at side x side pixels: larger or smaller, shifted, half of them mirrored."""
    rng, found = np.random.default_rng(seed), []
    own = samples.x.shape[1]
    for x in np.repeat(samples.x, COPIES, 0):
        kept, middle = own * rng.uniform(0.85, 1.15), own * (1 + rng.uniform(-0.06, 0.06, 2))
        wide = Image.fromarray(np.pad(x, ((own // 2, own // 2), (own // 2, own // 2), (0, 0)), "edge"))
        box = (*(middle - kept / 2), *(middle + kept / 2))
        image = np.asarray(wide.resize((side, side), Image.Resampling.BILINEAR, box))
        found.append(image[:, ::-1] if rng.random() < 0.5 else image)
    return Samples(np.stack(found), np.repeat(samples.labels, COPIES))


def lesson(model: Module, images: Path, seed: int) -> Dataset:
    """The data set, with more to learn from."""
    x = own_inputs(model)[0]
    data = read_dataset(images, x)
    return replace(data, train=varied(data.train, x.type.shape[-1], seed))


def chosen(plan: str) -> TrainPlan:
    """A plan by its name, or the name of a file beside this one."""
    return load_plan(str(Path(__file__).with_name(plan)) if plan.endswith(".toml") else plan)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the simulation learns from and is tested on: the values where the first trained state comes in."""

    network: Network
    train: Tensors
    labels: Array
    test: Tensors
    test_labels: Array


@lru_cache(1)
def seen(plan: str, path: Path, images: Path, seed: int) -> Seen:
    """Of the images of a data set, for a plan; whatever the rule."""
    imported = load_model(path)
    data = lesson(imported, images, seed)
    passes = Training(chosen(plan), Learning(seed=seed), len(data.classes)).passes((io_quantized, dce))
    module = run_passes(imported, load_board("host"), (*SIMPLIFY, *passes))
    given, network = lessons(module, data, PIXELS), Network(module)
    train, test = (network.before(np.concatenate([given.image(x)[0] for x in s.x])) for s in (data.train, data.test))
    return Seen(network, train, data.train.labels, test, data.test.labels)


def by_torch(run: Run, path: Path, images: Path) -> float:
    """Accuracy of the simulation, in percent."""
    s = seen(run.plan, path, images, run.recipe.seed)
    states = train(s.network, s.train, s.labels, run.recipe)
    return accuracy(s.network, s.test, s.test_labels, states)


def by_device(run: Run, path: Path, images: Path) -> float:
    """Accuracy of the generated C trainer, built for this machine, in percent."""
    imported, board, recipe = load_model(path), load_board("host"), run.recipe
    data = lesson(imported, images, run.recipe.seed)
    if recipe.rule == "nearest" or recipe.rule == "truncate":  # noqa: PLR1714 - mypy narrows this
        raise NotImplementedError("rules that lose steps are only simulated")
    learning = Learning(rule=recipe.rule, qas=recipe.qas, seed=recipe.seed, accumulate=recipe.batch)
    training = Training(chosen(run.plan), learning, len(data.classes))
    compiled = compile_model(imported, board, Options(frozenset({"quantized"}), train=training))
    with TemporaryDirectory() as folder:
        compiled.write(Path(folder))
        device = Device(compiled.module, build(Path(folder), board), board)
        given = lessons(compiled.module, replace(data, test=data.test.only(np.zeros(0, int))), PIXELS)
        schedule = replace(recipe.schedule(len(data.train)), steps=recipe.epochs * len(data.train))
        learn(device, given, recipe.epochs, schedule, recipe.seed, lambda *_: None)
        return 100 * float(correct(device, given, data.test, lambda *_: None).mean())


def known() -> dict[str, float]:
    """Accuracy of the runs that are done."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return {found["run"]: found["accuracy"] for found in map(json.loads, lines)}


def table(seeds: int) -> str:
    """Mean and deviation over the seeds that are done, a line for each way to train."""
    done, cells = known(), defaultdict(list)
    for run in runs(seeds):
        if run.key in done:
            cells[run.line, run.data].append(done[run.key])

    def cell(found: list[float]) -> str:
        spread = f" ± {stdev(found):.1f}" if len(found) > 1 else ""
        return f"{mean(found):.1f}{spread} ({len(found)})" if found else "-"

    names = list(dict.fromkeys(line for line, _ in cells))
    rows = [f"| {name} | " + " | ".join(cell(cells[name, d]) for d in FILES) + " |" for name in names]
    head = "| plan, rule, batch, by | " + " | ".join(FILES) + " |"
    return "\n".join((head, "|---" * (len(FILES) + 1) + "|", *rows))


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="where models and data are")
    parser.add_argument("--only", nargs="*", default=[], help="words, all of which a run must contain")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="only print what is known")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for run in runs(0 if asked.table else asked.seeds):
        if run.key in known() or not all(word in f"{run.line} {run.data}" for word in asked.only):
            continue
        began = time.monotonic()
        how = by_torch if run.by == "torch" else by_device
        found = how(run, asked.shared / "models" / MODEL, asked.shared / "data" / "images" / FILES[run.data])
        took = round(time.monotonic() - began)
        print(f"{run.data}, seed {run.recipe.seed}, {run.line}: {found:.2f}% in {took} s", flush=True)
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps({"run": run.key, "accuracy": found, "seconds": took}) + "\n")
    print(table(asked.seeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
