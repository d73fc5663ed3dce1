"""What a training step takes on a board: bytes of the arena and instructions, plan by plan.

    python benchmarks/steps.py [--models FOLDER] [--board cortex-m7] [--plan NAME...] [--gradients f32]

mcunet-5fps with a float head for ten classes, stochastic rounding, `--io quantized --memory smallest`; all counted.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np

from tte.driver import Options, Training, compile_model
from tte.load import load_model
from tte.running.device import Device
from tte.running.emulate import build
from tte.target import load_board
from tte.training.learning import Gradients, Learning
from tte.training.plan import load_plan

MODEL = "mcunet-5fps-int8.onnx"
PLANS = ("mcunet-5fps-49kb", "mcunet-5fps-99kb")


def main() -> None:
    """Print a line for each plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path(__file__).parents[2] / "shared" / "models")
    parser.add_argument("--board", default="cortex-m7")
    parser.add_argument("--plan", nargs="+", default=PLANS)
    parser.add_argument("--gradients", choices=get_args(Gradients), default="f32")
    given = parser.parse_args()
    board, learning = load_board(given.board), Learning(gradients=given.gradients)
    print(f"{'plan':20} {'arena':>8} {'trained':>8} {'instructions':>13} {'stack':>6}")
    for plan in given.plan:
        options = Options(frozenset({"quantized"}), memory="smallest", train=Training(load_plan(plan), learning, 10))
        compiled = compile_model(load_model(given.models / MODEL), board, options)
        rng = np.random.default_rng(0)
        x, label = (v.type for v in compiled.module.graph("train_step").ins)
        example = rng.integers(-128, 128, x.shape, np.int8), np.zeros(label.shape, np.int32)
        with tempfile.TemporaryDirectory() as folder:
            compiled.write(Path(folder))
            cost = Device(compiled.module, build(Path(folder), board), board).measure("train_step", example)
        trained = sum(s.value.type.bytes for s in compiled.plan.states)
        print(f"{plan:20} {compiled.plan.arena:8} {trained:8} {cost.instructions or 0:13} {cost.stack or 0:6}")


if __name__ == "__main__":
    main()
