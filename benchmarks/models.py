"""Count the instructions of whole models on a board beside CMSIS-NN's, step by step.

    python benchmarks/models.py cortex-m4 [--models FOLDER] [--only NAME] [--steps] [--json]

Each output is checked against the numpy meaning. The exit code is 1 if a model takes more than its bar (anchors.toml).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tte.driver import SIMPLIFY, Options, compile_model, run_passes
from tte.frontend.onnx import import_onnx
from tte.frontend.tflite import import_tflite
from tte.interp import interpret
from tte.running.emulate import build, infer
from tte.target import Board, load_board
from tte.types import Array, DType, TensorType

ANCHORS = tomllib.loads((Path(__file__).parent / "anchors.toml").read_text())
NAMES = {*ANCHORS["models"], "mcunet-5fps-int8"}


@dataclass(frozen=True, slots=True)
class Step:
    """One layer: what it computes, by which kernel, its multiply-accumulates and instructions."""

    node: str
    kernel: str
    macs: int
    instructions: int


@dataclass(frozen=True, slots=True)
class Row:
    """One model: bytes of its arena, instructions of an inference, CMSIS-NN's, and the same by step."""

    name: str
    arena: int
    instructions: int
    anchor: float | None
    right: bool
    steps: tuple[Step, ...]


def draw(t: TensorType) -> Array:
    """An input at random."""
    rng = np.random.default_rng(1)
    if t.dtype is DType.F32:
        return rng.uniform(-1.1, 1.1, t.shape).astype(np.float32)
    info = np.iinfo(t.dtype.numpy)
    return rng.integers(info.min, info.max + 1, t.shape, t.dtype.numpy)


def measure(path: Path, board: Board, folder: Path) -> Row:
    """Compile, build and run one model, once."""
    module = run_passes((import_tflite if path.suffix == ".tflite" else import_onnx)(path), board, SIMPLIFY)
    graph, states = module.graph("infer"), {s.value.name: s.init for s in module.states}
    sample = tuple(draw(v.type) for v in graph.ins)
    meant, _ = interpret(graph, {v.name: a for v, a in zip(graph.ins, sample, strict=True)}, states)
    done = compile_model(module, board, Options(io=frozenset({"quantized"}), memory="fast"))
    done.write(folder)
    run = infer(done.module, build(folder, board), board, [sample])
    right = all(np.array_equal(a, meant[v.name]) for a, v in zip(run.outputs[0], graph.outs, strict=True))
    calls = next(f for f in done.program.functions if f.name == "infer").calls
    counts = run.steps or (0,) * len(calls)
    steps = tuple(
        Step(str(c.node), c.kernel.symbol, c.node.op.macs(*c.node.types), n) for c, n in zip(calls, counts, strict=True)
    )
    name = path.name.split(".")[0]
    anchor = ANCHORS["models"].get(name, {}).get(board.name)
    return Row(name, done.plan.arena, run.instructions or 0, anchor, right, steps)


def show(row: Row, steps: bool) -> None:
    """Print a model's line, and those of its steps."""
    ratio = f"{row.anchor * 1e6:12.0f} {row.instructions / row.anchor / 1e6:6.2f}" if row.anchor else ""
    print(f"{row.name:30} {row.arena:8d} {row.instructions:12d} {ratio}{'' if row.right else ' WRONG'}", flush=True)
    for s in row.steps if steps else ():
        per_mac = f"{s.instructions / s.macs:6.2f}" if s.macs else "      "
        print(f"  {s.instructions:10d} {per_mac} {s.kernel:24} {s.node[:150]}")


def main() -> int:
    """Print the table; 1 if a result is wrong or a bar is missed."""
    parser = argparse.ArgumentParser(description="Count the instructions of whole models beside CMSIS-NN's.")
    parser.add_argument("board")
    parser.add_argument("--models", type=Path, default=Path(__file__).parents[2] / "shared" / "models")
    parser.add_argument("--only", default="", help="models whose name contains this")
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path, help="leave the projects in this folder")
    args = parser.parse_args()
    board, rows = load_board(args.board), []
    paths = sorted(p for p in args.models.glob("*int8.*") if p.name.split(".")[0] in NAMES)
    for path in (p for p in paths if args.only in p.name):
        with tempfile.TemporaryDirectory() as name:
            rows.append(measure(path, board, args.keep / path.stem if args.keep else Path(name)))
        if not args.json:
            show(rows[-1], args.steps)
    if args.json:
        print(json.dumps([asdict(r) for r in rows]))
    bar = ANCHORS["bars"].get(board.name, float("inf"))
    missed = [r for r in rows if r.anchor and r.instructions > bar * r.anchor * 1e6]
    return int(bool(missed) or not all(r.right for r in rows))


if __name__ == "__main__":
    sys.exit(main())
