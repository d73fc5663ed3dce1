"""What static scales in s8 cost stories260K's perplexity on its own texts, with and without shadows of hot channels.

    python benchmarks/language.py [--shared FOLDER]

Measured on 256 texts that the float model says at temperature 1; scales and shadows are chosen on 64 others. Then the
same with two channels behind every normalisation made 20 times larger, and the weights that read them smaller.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from tte.frontend.llama2c import import_llama2c
from tte.ir import Module
from tte.language.calibration import Trial, calibrate, observe, plain
from tte.language.reading import loss, sample
from tte.passes.npu.outlier import Outlier
from tte.target import load_board
from tte.types import Array

ROOT = Path(__file__).parents[1]
CALIBRATION, SCORED, LENGTH, SEED = 64, 256, 128, 1
HOT, BY = [5, 40], 20.0
HOST = load_board("host")


def texts(model: Module) -> Array:
    """The model's own, drawn once: s32[texts, LENGTH]."""
    path = ROOT / "build" / f"stories-{CALIBRATION + SCORED}x{LENGTH}-{SEED}.npy"
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        np.save(path, sample(model, CALIBRATION + SCORED, LENGTH, SEED))
    drawn: Array = np.load(path)
    return drawn


def injected(module: Module, channels: list[int] = HOT, by: float = BY) -> Module:
    """The same function of floats, but some channels behind every normalisation of a layer are large."""

    def turned(name: str, a: Array) -> Array:
        a = a.copy()
        if name.startswith(("attention_norm", "ffn_norm")):
            a[channels] *= np.float32(by)
        elif name.startswith(("q", "k", "v", "up", "gate")) and a.ndim == 2:
            a[:, channels] /= np.float32(by)
        return a

    states = (replace(s, init=turned(s.value.name, s.init)) if s.storage == "flash" else s for s in module.states)
    return replace(module, states=tuple(states))


def rise(floats: float, quantised: float) -> str:
    """Of perplexity."""
    return f"{100 * math.expm1(quantised - floats):+.2f}%"


def report(name: str, model: Module, drawn: Array) -> None:
    """What calibration saw, and what its choice costs on other texts."""
    known, scored = drawn[:CALIBRATION], drawn[CALIBRATION:]
    found = calibrate(model, HOST, known)

    def row(t: Trial) -> str:
        channels = sum(len(s.channels) for s in t.splits)
        return f"  {t.rule:14} shadows pruned {t.pruned:4.0%}  channels {channels:3}  {rise(found.floats, t.loss)}"

    print(f"{name}: perplexity on the calibration's texts {math.exp(found.floats):.4f} in f32 (measured)")
    print("\n".join(row(t) for t in (*found.rules, *found.curve[1:])))
    floats, most = loss(model, scored), loss(Outlier(plain(observe(model, known)[0]))(model, HOST), scored)
    chosen = Outlier(found.chosen.splits)(model, HOST)
    least = loss(chosen, scored)
    print(f"  on {SCORED} other texts: f32 {math.exp(floats):.4f}, absmax {rise(floats, most)},", end=" ")
    recovered = (math.exp(most) - math.exp(least)) / (math.exp(most) - math.exp(floats))
    print(f"chosen {rise(floats, least)} ({found.chosen.rule}, {found.chosen.pruned:.0%} pruned):", end=" ")
    sizes = {s.value.name: s.init.size for s in chosen.states}
    hot, weights = (sum(n for k, n in sizes.items() if k.endswith(end)) for end in ("_hot", "_s8"))
    print(f"{recovered:.0%} of absmax's loss recovered; shadows hold {hot / weights:.2%} of the weights (counted)\n")


def main() -> None:
    """Both cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    model = import_llama2c(parser.parse_args().shared / "models" / "stories260K.bin", "stories", 8)
    drawn = texts(model)
    report("stories260K", model, drawn)
    report(f"stories260K, {len(HOT)} channels x {BY:g}", injected(model), drawn)


if __name__ == "__main__":
    main()
