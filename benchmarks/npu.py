"""Count the packets of whole matrix products on Hexagon's vectors: packing, products, requantisation and stores.

    python benchmarks/npu.py [--json] [MxKxN ...]

Results are checked against the numpy reference. The exit code is 1 if one is wrong, or takes more packets per 128
multiply-accumulates (one vrmpy) than its bar (anchors.toml). Packets are counted; they are not cycles.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from layers import ANCHORS, X, Y, measure

from tte.op import Example
from tte.ops.linear import Linear
from tte.target import load_board
from tte.types import DType, Quant, Rounding, TensorType

SHAPES = ("64x172x64", "1x2048x2048", "64x2048x2048", "256x2048x2048")
VRMPY = 128  # multiply-accumulates


def products(shape: str) -> tuple[Example, Example]:
    """x[m,k] . w[n,k]^T + b[n] with results in s8 and in f32; weights depend on k and n alone, and are stored once."""
    m, k, n = map(int, shape.split("x"))
    scales = Quant(tuple(0.0001 + 0.00001 * (i % 7) for i in range(n)), 0, 0)
    ins = TensorType((m, k), DType.S8, X), TensorType((n, k), DType.S8, scales), TensorType((n,), DType.S32)
    (x,) = Example.random(Linear(), ins[0], seed=m).args
    w, b = Example.random(Linear(), *ins[1:], below=4000).args
    ops = Linear(out=Y, rounding=Rounding.SINGLE), Linear()
    return Example(ops[0], ins, (x, w, b), (1, 2)), Example(ops[1], ins, (x, w, b), (1, 2))


def main() -> int:
    """Print the table; 1 if a result is wrong or a bar is missed."""
    parser = argparse.ArgumentParser(description="Count the packets of matrix products on Hexagon's vectors.")
    parser.add_argument("shapes", nargs="*", default=SHAPES, help="m x k x n, for example 64x172x64")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    pairs = {shape: products(shape) for shape in args.shapes}
    examples = {f"{s} {kind}": e for s, both in pairs.items() for kind, e in zip(("s8", "f32"), both, strict=True)}
    board = load_board("hexagon")
    with tempfile.TemporaryDirectory() as name:
        rows = measure(replace(board, units={"cpu": replace(board.cpu, isa=("hvx",))}), Path(name), examples)
    rates = np.array([VRMPY * r.instructions / r.macs for r in rows])
    bars = [ANCHORS["npu"].get(r.name.split()[0], float("inf")) for r in rows]
    if args.json:
        print(json.dumps([{"name": r.name, "packets": r.instructions, "right": r.right} for r in rows]))
    else:
        print(f"{'m x k x n':20} {'kernel':24} {'packets':>10} {'per 128 MACs':>12} {'bar':>5}")
        for r, rate, bar in zip(rows, rates, bars, strict=True):
            print(f"{r.name:20} {r.kernel:24} {r.instructions:10d} {rate:12.2f} {bar:5} {'' if r.right else 'WRONG'}")
    return int(bool((rates > bars).any()) or not all(r.right for r in rows))


if __name__ == "__main__":
    sys.exit(main())
