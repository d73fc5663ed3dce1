"""What integer products by rows cost stories260K's perplexity on texts of its own; measured, in numpy.

    python benchmarks/four_bits.py [--models FOLDER] [--texts 64] [--group 16 32 64]

Activations have 8 bits and a scale for each row. "float scales" rounds each group of weights to 4 bits with a float
scale and a zero point; "integer steps" is what `tte compile --bits 4` computes. The exit code is 1 if the latter is
worse by over 0.5% of the perplexity in f32.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from tte.arith.progressive import symmetric
from tte.frontend.llama2c import import_llama2c
from tte.ir import Module, Node
from tte.language.reading import loss, sample
from tte.ops.linear import Linear
from tte.passes.quantize.rows import Rows
from tte.target import load_board
from tte.types import Array

BAR = 0.5  # percent
LENGTH, SEED = 128, 1
HOST = load_board("host")


def float_scales(w: Array, group: int) -> Array:
    """Four bits, a float scale and an integer zero point for each group."""
    n, k = w.shape
    groups = np.pad(w, ((0, 0), (0, -k % group))).reshape(n, -1, group)
    low, high = np.minimum(groups.min(2, keepdims=True), 0), np.maximum(groups.max(2, keepdims=True), 0)
    scale = np.maximum((high - low) / np.float32(15), np.float32(1e-30))
    zero = np.rint(-low / scale)
    back = (np.clip(np.rint(groups / scale) + zero, 0, 15) - zero) * scale
    return np.asarray(back.reshape(n, -1)[:, :k], np.float32)


def nearest(module: Module, group: int) -> Module:
    """The weights of the layers' products rounded by `float_scales`."""
    graph = module.graph("decode")
    products = {n.ins[1] for n in graph.nodes if n.op == Linear() and n.outs[0] not in graph.outs}
    states = (replace(s, init=float_scales(s.init, group)) if s.value in products else s for s in module.states)
    return replace(module, states=tuple(states))


def rounds(node: Node, x: Array) -> None:
    """Round what a product in f32 is about to read, in place, row by row."""
    q, by = symmetric(x)
    x[:] = q * by[:, None]


def rise(base: float, other: float) -> float:
    """Percent of perplexity."""
    return 100 * math.expm1(other - base)


def compared(module: Module, tokens: Array, base: float, group: int) -> tuple[float, float]:
    """What weights of four bits cost with float scales, and with integer steps."""
    floats = loss(nearest(module, group), tokens, rounds)
    return rise(base, floats), rise(base, loss(Rows(group)(module, HOST), tokens))


def main() -> None:
    """Print a line for each way of rounding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path(__file__).parents[2] / "shared" / "models")
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--group", type=int, nargs="+", default=[16, 32, 64])
    given = parser.parse_args()
    module = import_llama2c(given.models / "stories260K.bin", "stories", 8)
    tokens = sample(module, given.texts, LENGTH, SEED)
    base, eight = loss(module, tokens), loss(Rows()(module, HOST), tokens)
    print(f"perplexity in f32: {math.exp(base):.4f} on {given.texts} texts of {LENGTH} tokens (measured)")
    print(f"W8A8: {rise(base, eight):+.2f}%")
    worst = 0.0
    for group in given.group:
        floats, steps = compared(module, tokens, base, group)
        worst = max(worst, steps - floats)
        print(f"W4A8 in groups of {group:3}: float scales {floats:+.2f}%, integer steps {steps:+.2f}%")
    sys.exit(worst > BAR)


if __name__ == "__main__":
    main()
