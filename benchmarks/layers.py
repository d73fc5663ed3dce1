"""Count the instructions of single layers on a board beside CMSIS-NN's, all layers in one program.

    python benchmarks/layers.py cortex-m4 [--json] [--gradients [f32|int8|int16] | --products]

With --gradients it counts the gradients of layers of mcunet-5fps instead, in that precision; with --products the matrix
products of language models. Results are checked against the numpy reference. The exit code is 1 if one is wrong, or a
layer takes more than its bar (anchors.toml).
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import tempfile
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tte.arith import progressive
from tte.driver import Compiled, Options, compile_model
from tte.ir import Builder, Module
from tte.op import Example, Op
from tte.ops.add import Add
from tte.ops.bias_grad import BiasGrad
from tte.ops.conv import Conv
from tte.ops.conv_grad_w import ConvGradW
from tte.ops.conv_grad_x import ConvGradX
from tte.ops.linear import Linear
from tte.ops.linear_groups import LinearGroups
from tte.ops.linear_rows import LinearRows
from tte.ops.mask_grad import MaskGrad
from tte.ops.round_grad import RoundGrad
from tte.ops.rounded_bias_grad import RoundedBiasGrad
from tte.ops.rounded_grad_w import RoundedGradW
from tte.ops.rounded_grad_x import RoundedGradX
from tte.running.emulate import build, run_elf
from tte.target import Board, load_board
from tte.types import DType, Quant, Rounding, TensorType

ANCHORS = tomllib.loads((Path(__file__).parent / "anchors.toml").read_text())
X, Y = Quant((0.05,), -3), Quant((0.4,), -7)
SAME = (1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Row:
    """One layer: the kernel that computes it, its multiply-accumulates and instructions, and CMSIS-NN's."""

    name: str
    kernel: str
    macs: int
    instructions: int
    anchor: int | None
    right: bool


def conv(
    h: int, ci: int, co: int, k: int = 1, stride: int = 1, pads: tuple[int, int, int, int] = (0, 0, 0, 0)
) -> Example:
    """A square convolution; `ci` 0 stands for one filter per channel."""
    filters = (co, k, k, ci or 1)
    weights = Quant(tuple(0.002 + 0.0001 * (i % 7) for i in range(co)), 0, 0)
    op = Conv((stride, stride), pads, out=Y)
    return layer(op, TensorType((1, h, h, ci or co), DType.S8, X), TensorType(filters, DType.S8, weights))


def layer(op: Op, x: TensorType, w: TensorType) -> Example:
    """An example with random weights, and a bias."""
    return Example.random(op, x, w, TensorType(w.shape[:1], DType.S32), consts=(1, 2), below=4000)


def layers() -> dict[str, Example]:
    """The layers of anchors.toml."""
    flat = TensorType((3072,), DType.S8, X)
    added = Example.random(Add(out=Y), flat, flat)
    full = TensorType((1, 640), DType.S8, X), TensorType((128, 640), DType.S8, Quant((0.004,)))
    return {
        "conv3x3 s2 128x128x3 -> 16": conv(128, 3, 16, 3, 2, (0, 0, 1, 1)),
        "pointwise 32x32x8 -> 48": conv(32, 8, 48),
        "depthwise 3x3 32x32x48": conv(32, 0, 48, 3, 1, SAME),
        "pointwise 32x32x48 -> 8": conv(32, 48, 8),
        "pointwise 16x16x16 -> 96": conv(16, 16, 96),
        "depthwise 3x3 16x16x96": conv(16, 0, 96, 3, 1, SAME),
        "pointwise 8x8x48 -> 192": conv(8, 48, 192),
        "pointwise 8x8x192 -> 48": conv(8, 192, 48),
        "depthwise 7x7 8x8x160": conv(8, 0, 160, 7, 1, (3, 3, 3, 3)),
        "depthwise 5x5 4x4x384": conv(4, 0, 384, 5, 1, (2, 2, 2, 2)),
        "conv3x3 32x32x16 -> 16": conv(32, 16, 16, 3, 1, SAME),
        "fully connected 640 -> 128": layer(Linear(out=Y, rounding=Rounding.SINGLE), *full),
        "add 3072": added,
    }


def gradients() -> dict[str, Example]:
    """Gradients of layers of mcunet-5fps, where "of 4" those of four channels, as a loop over channels has them."""
    rest, one = ((1, 1), (0, 0, 0, 0), (1, 1)), (1, 1)

    def f32(*shape: int) -> TensorType:
        return TensorType(shape, DType.F32)

    def grad_x(h: int, co: int, ci: int) -> Example:
        w = TensorType((co, 1, 1, ci), DType.S8, X)
        return Example.random(ConvGradX(*rest, (h, h)), f32(1, h, h, co), w, consts=(1,))

    def depthwise_x(h: int, c: int, k: int, stride: int = 1) -> Example:
        op = ConvGradX((stride, stride), (k // 2, k // 2, k // 2, k // 2), one, (h, h), True)
        w = TensorType((c, k, k, 1), DType.S8, X)
        return Example.random(op, f32(1, h // stride, h // stride, c), w, consts=(1,))

    def grad_w(h: int, co: int, ci: int) -> Example:
        x = TensorType((1, h, h, ci), DType.S8, X)
        return Example.random(ConvGradW(*rest, one), f32(1, h, h, co), x, f32(co), consts=(2,))

    hidden = f32(1, 8, 8, 192), TensorType((1, 8, 8, 192), DType.U1), f32(192)
    return {
        "x of pointwise 8x8x48 -> 192": grad_x(8, 48, 192),
        "x of pointwise 4x4x160 -> 576": grad_x(4, 160, 576),
        "x of pointwise 8x8, of 4 -> 48": grad_x(8, 4, 48),
        "x of depthwise 3x3 8x8x4": depthwise_x(8, 4, 3),
        "x of depthwise 5x5 4x4x4": depthwise_x(4, 4, 5),
        "x of depthwise 7x7/2 8x8x4": depthwise_x(8, 4, 7, 2),
        "w of pointwise 8x8x24 -> 4": grad_w(8, 4, 24),
        "mask 8x8x192": Example.random(MaskGrad(), *hidden, consts=(2,)),
        "bias 8x8x192": Example.random(BiasGrad(), hidden[0], hidden[2], consts=(1,)),
    }


def products() -> dict[str, Example]:
    """Rows by matrices in f32, in s8 with a scale per row (W8A8), and in four bits by groups of 32 (W4A8)."""
    found: dict[str, Example] = {}
    for m, k, n in (1, 512, 512), (64, 512, 512), (64, 172, 64):
        weights = np.random.default_rng(k).standard_normal((n, k)).astype(np.float32)
        x, s, w = TensorType((m, k), DType.F32), TensorType((m,), DType.F32), TensorType((n, k), DType.F32)
        q, rows = TensorType((m, k), DType.S8), TensorType((n, k), DType.S8, Quant((0.01,) * n, 0, 0))
        four = progressive.quantized(weights, 32)
        bytes4, steps = TensorType((n, k), DType.U8), TensorType(four.step.shape, DType.U8)
        groups = Example.random(LinearGroups(32), q, s, bytes4, steps, steps, TensorType((n,), DType.F32))
        args = (*groups.args[:2], four.q, four.step, four.zero, four.by)
        found[f"f32 {m}x{k}x{n}"] = Example.random(Linear(), x, w, consts=(1,))
        found[f"W8A8 {m}x{k}x{n}"] = Example.random(LinearRows(), q, s, rows, consts=(2,))
        found[f"W4A8 {m}x{k}x{n}"] = replace(groups, args=args, consts=(2, 3, 4, 5))
    return found


def rounded(e: Example, bits: int) -> Example:
    """A gradient from integers of so many bits instead of floats, as passes/training/integer_gradients has it."""
    op, (g, *others) = e.op, e.ins
    c, q = g.shape[-1], TensorType(g.shape, DType.S8 if bits == 8 else DType.S16)
    if isinstance(op, MaskGrad):
        return Example.random(RoundGrad(bits, 4), *e.ins, consts=e.consts)
    made: Op = RoundedBiasGrad()
    if isinstance(op, ConvGradX):
        made = RoundedGradX(op.stride, op.pads, op.dilation, op.shape, op.depthwise, 1 if op.depthwise else c)
    elif isinstance(op, ConvGradW):
        made = RoundedGradW(op.stride, op.pads, op.dilation, op.kernel, op.depthwise)
    found = Example.random(made, q, TensorType((c,), DType.F32), *others, consts=tuple(i + 1 for i in e.consts))
    found.args[1][:] = 2.0**-9
    return found


def compiled(board: Board, examples: dict[str, Example]) -> Compiled:
    """One module with a graph per layer."""
    graphs, states = [], []
    for n, e in enumerate(examples.values()):
        b = Builder(f"layer{n}", states)
        values = [
            b.constant(f"c{n}_{i}", t, a) if i in e.consts else b.input(f"in{i}", t)
            for i, (t, a) in enumerate(zip(e.ins, e.args, strict=True))
        ]
        graphs.append(b.finish(*b.emit(e.op, *values, name=f"out{n}")))
        states = b.states
    return compile_model(Module("layers", tuple(states), tuple(graphs)), board, Options(memory="fast"))


def measure(board: Board, folder: Path, examples: dict[str, Example]) -> list[Row]:
    """Build and run all layers once."""
    done = compiled(board, examples)
    done.write(folder)
    data = b""
    for n, e in enumerate(examples.values()):
        data += struct.pack("<I", n) + b"".join(
            t.encode(a) for i, (t, a) in enumerate(zip(e.ins, e.args, strict=True)) if i not in e.consts
        )
    raw = run_elf(build(folder, board), board, data)
    marks = [count for symbol, count in raw.marks if symbol == "tte_mark"]
    rows, at = [], 0
    for n, (name, e) in enumerate(examples.items()):
        graph, call = done.module.graphs[n], done.program.functions[n].calls[-1]
        types, right = tuple(v.type for v in graph.outs), True
        at += 4
        for t, want in zip(types, e.op.reference(e.args, e.ins, types), strict=True):
            got = np.frombuffer(raw.data, t.dtype.numpy, t.size, at).reshape(t.shape)
            at += t.bytes
            right = right and np.array_equal(got, want)
        count = marks[2 * n + 1] - marks[2 * n] if marks else 0
        anchor = ANCHORS["layers"].get(name, {}).get(board.name)
        rows.append(Row(name, call.kernel.symbol, e.op.macs(*call.node.types), count, anchor, right))
    return rows


def main() -> int:
    """Print the table; 1 if a result is wrong or a bar is missed."""
    parser = argparse.ArgumentParser(description="Count the instructions of single layers beside CMSIS-NN's.")
    parser.add_argument("board")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--products", action="store_true", help="of language models, not layers")
    parser.add_argument("--gradients", nargs="?", const="f32", choices=("f32", "int8", "int16"), help="not layers")
    parser.add_argument("--keep", type=Path, help="leave the project in this folder")
    args = parser.parse_args()
    board = load_board(args.board)
    examples = gradients() if args.gradients else products() if args.products else layers()
    if args.gradients in ("int8", "int16"):
        examples = {name: rounded(e, int(args.gradients.removeprefix("int"))) for name, e in examples.items()}
    with tempfile.TemporaryDirectory() as name:
        rows = measure(board, args.keep or Path(name), examples)
    bar = ANCHORS["bars"].get(board.name, float("inf"))
    if args.json:
        print(json.dumps([{f: getattr(r, f) for f in Row.__slots__} for r in rows]))
    else:
        print(f"{'layer':28} {'kernel':26} {'instructions':>12} {'per MAC':>8} {'CMSIS-NN':>10} {'ratio':>6}")
        for r in rows:
            anchor = f"{r.anchor * 1000:10d} {r.instructions / r.anchor / 1000:6.2f}" if r.anchor else ""
            per_mac = f"{r.instructions / r.macs:8.2f}" if r.macs else f"{'':8}"
            print(f"{r.name:28} {r.kernel:26} {r.instructions:12d} {per_mac} {anchor}{'' if r.right else ' WRONG'}")
    missed = [r for r in rows if r.anchor and r.instructions > bar * r.anchor * 1000]
    return int(bool(missed) or not all(r.right for r in rows))


if __name__ == "__main__":
    sys.exit(main())
