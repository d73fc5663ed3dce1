"""Qwen1.5-1.8B's real shapes on phone-npu: compile a layer, count its kernels, and schedule a prompt of 1,024 tokens.

    python benchmarks/schedule.py [--no-compile] [--no-count] [--vocab 4096] [--svg FILE]

Weights are random, of a fixed seed, and so are the channels with shadows (3%). One of the 24 layers is built, and the
vocabulary of 151,936 is cut. Instructions and packets are counted in QEMU, a call of each kernel at the real shapes;
what time they take is modelled, by the rates in the board's cost table. The exit code is 1 if a result is wrong, a bar
is missed, or a figure in board.toml is 2% off what is counted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from layers import measure

from tte.codegen.svg import svg
from tte.driver import Compiled, Options, compile_model
from tte.elf import sizes
from tte.emulate import build
from tte.frontend.decoder import Config, decoder
from tte.gantt import gantt
from tte.ir import Module
from tte.op import Example
from tte.ops.add import Add
from tte.ops.attention import Attention
from tte.ops.cache_rows import CacheRows
from tte.ops.dequantize import Dequantize
from tte.ops.linear import Linear
from tte.ops.mul import Mul
from tte.ops.quantize import Quantize
from tte.ops.rms_norm import RmsNorm
from tte.ops.rope import Rope
from tte.ops.shadow import Shadow
from tte.ops.silu import Silu
from tte.passes.npu.outlier import Split
from tte.passes.npu.schedule import Schedule, in_order, schedule
from tte.passes.npu.shapes import QWEN, TWO_TO_ONE, layer_stages
from tte.passes.npu.stages import Stage, split_attention, tasks_of
from tte.target import Board, Costs, load_board
from tte.types import NPU, Array, DType, Quant, Rounding, TensorType

CHUNK, CHUNKS, LAYERS, PARTS = 256, 4, 24, 4
HEADS, VOCAB, CONTEXT = 16, 4096, 1024
HOT, SCALE = 0.03, 0.02
F32, S8, S32 = DType.F32, DType.S8, DType.S32
SPAN = TensorType((2,), S32)
OFF = 0.02  # by which the board's figures may miss the counted ones


def model(vocab: int) -> tuple[Module, tuple[Split, ...]]:
    """One layer with random weights, and which of its products are in s8."""
    shape = Config(
        QWEN.dim, QWEN.hidden, 1, HEADS, HEADS, vocab, CONTEXT, eps=1e-6, rope="halves", theta=1e6, tied=False
    )
    rng = np.random.default_rng(0)
    drawn = {k: rng.standard_normal(s, np.float32) * np.float32(0.02) for k, s in shape.weights.items()}
    drawn |= {f"0.{part}.bias": rng.standard_normal(QWEN.dim, np.float32) for part in "qkv"}
    module = decoder("qwen", shape, drawn, CHUNK)
    read: dict[str, list[str]] = {}  # by input, the weights that read it
    for node in module.graph("prefill").nodes:
        if node.op == Linear() and not node.ins[1].name.startswith("classifier"):
            read.setdefault(node.ins[0].name, []).append(node.ins[1].name)
    columns = {s.value.name: s.init.shape[-1] for s in module.states}
    splits = []
    for weights in read.values():
        k = columns[weights[0]]
        splits.append(Split(tuple(weights), SCALE, tuple(sorted(rng.permutation(k)[: int(k * HOT)].tolist()))))
    return module, tuple(splits)


def compiled(board: Board, vocab: int) -> bool:
    """Compile and build; print bytes. False if a bar is missed."""
    module, splits = model(vocab)
    start = time.monotonic()
    done = compile_model(module, board, Options(splits=splits))
    with tempfile.TemporaryDirectory() as name:
        done.write(Path(name))
        written = time.monotonic()
        build(Path(name), board)
        built = time.monotonic()
        flash = {e: sizes(Path(name) / e, board).flash for e in ("model.elf", "npu.elf")}
    print(f"one layer of Qwen1.5-1.8B, chunks of {CHUNK}, vocabulary cut to {vocab:,}:")
    print(f"  {written - start:.0f} s to compile, {built - written:.0f} s to build (measured)")
    print("  flash: " + ", ".join(f"{e} {n:,} B" for e, n in flash.items()) + " (counted)")
    calls = next(f for f in done.program.functions if f.name == "prefill").calls
    print("  kernels: " + ", ".join(dict.fromkeys(c.kernel.symbol for c in calls)))
    shared, unshared, hot = graphs(done)
    share = shared / unshared
    print(f"  graphs of {CHUNKS} chunks: {shared:,} B shared, {unshared:,} B unshared: {share:.1%} (counted)", end=" ")
    print(f"bar {1 / CHUNKS + 0.05:.0%}")
    print(f"  shadows: {hot:.2%} of the weights (counted) bar 3%")
    return share <= 1 / CHUNKS + 0.05 and hot <= 0.03


def graphs(done: Compiled) -> tuple[int, int, float]:
    """Bytes of prefill's graphs for all chunks, shared and not, and the share of shadows in the weights of products.

    A graph is the constants that its calls read; attention's, of which each chunk has one, its scratch too.
    """
    calls = next(f for f in done.program.functions if f.name == "prefill").calls
    static, own, scratch = dict[int, int](), dict[int, int](), 0
    for call in calls:
        mine = own if isinstance(call.node.op, Attention) else static
        mine |= {id(a): a.nbytes for a in call.consts.values()}
        scratch += call.scratch.type.bytes if call.scratch and mine is own else 0
    once, each = sum(static.values()), sum(own.values()) + scratch
    found = {s.value.name: s.init.size for s in done.module.states}
    hot, weights = (sum(n for k, n in found.items() if k.endswith(end)) for end in ("_hot", "_s8"))
    return once + CHUNKS * each, CHUNKS * (once + each), hot / weights


@dataclass(frozen=True, slots=True)
class Point:
    """A call to count: products that it makes, and elements of its results."""

    example: Example
    macs: int
    elements: int

    @property
    def op(self) -> str:
        """What the board's table knows it by."""
        return self.example.op.label()


def tensor(*shape: int, dtype: DType = F32, quant: Quant | None = None) -> TensorType:
    """A type, of floats where nothing else is said."""
    return TensorType(shape, dtype, quant)


def attention(start: int, rows: int = CHUNK) -> Point:
    """Of so many rows, the first at `start`."""
    cache = tensor(CONTEXT, QWEN.kv)
    e = Example.random(Attention(HEADS, HEADS), tensor(rows, QWEN.dim), cache, cache, SPAN)
    e.args[3][:] = start, rows
    return Point(e, 2 * QWEN.dim * (rows * start + rows * (rows + 1) // 2), rows * QWEN.dim)


def shadow(share: float) -> Point:
    """With that share of the hot elements beyond the clamp."""
    d, hot = QWEN.dim, int(QWEN.dim * HOT)
    types = tensor(CHUNK, d, dtype=S32), tensor(CHUNK, d), tensor(hot, d, dtype=S8)
    e = Example.random(Shadow(SCALE, tuple(range(0, 33 * hot, 33))), *types, consts=(2,))
    beyond: Array = np.random.default_rng(1).random((CHUNK, hot)) < share
    e.args[1][:, list(range(0, 33 * hot, 33))] = np.where(beyond, 200 * SCALE, SCALE).astype(np.float32)
    return Point(e, int(beyond.sum()) * d, CHUNK * d)


def each(e: Example) -> Point:
    """An op without products."""
    (y,) = e.op.results(*e.ins)
    return Point(e, 0, y.size)


def on_cpu() -> dict[str, Point]:
    """The calls of a layer."""
    d, h = QWEN.dim, QWEN.hidden
    x, wide = tensor(CHUNK, d), tensor(CHUNK, h)
    sums = tensor(CHUNK, d, dtype=S32, quant=Quant((0.01,) * d, 0, 1))
    rope = Example.random(Rope(d // HEADS, "halves"), x, tensor(CONTEXT, d // HEADS // 2, 2), SPAN, consts=(1,))
    rows = Example.random(CacheRows(), tensor(CONTEXT, d), x, SPAN)
    for e in (rope, rows):
        e.args[2][:] = CONTEXT - CHUNK, CHUNK
    plain = {
        "rms_norm": Example.random(RmsNorm(1e-6), x, tensor(d), consts=(1,)),
        "quantize": Example.random(Quantize(Quant((SCALE,)), Rounding.ONNX), x),
        "dequantize": Example.random(Dequantize(), sums),
        "rope": rope,
        "add": Example.random(Add(), x, x),
        "silu": Example.random(Silu(), wide),
        "mul": Example.random(Mul(), wide, wide),
    }
    found = {f"attention at {start}": attention(start) for start in (0, CONTEXT - CHUNK)}
    found |= {f"shadow, {share:.0%} beyond": shadow(share) for share in (0.0, 0.1)}
    found |= {name: each(e) for name, e in plain.items()}
    return found | {"cache_rows": Point(rows, 0, CHUNK * d)}


def on_npu() -> dict[str, Point]:
    """Its matrix products, with sums for results."""
    found = {}
    for k, n in ((QWEN.dim, QWEN.dim), (QWEN.dim, QWEN.hidden), (QWEN.hidden, QWEN.dim)):
        x = tensor(CHUNK, k, dtype=S8, quant=Quant((SCALE,)))
        w = tensor(n, k, dtype=S8, quant=Quant((0.001,) * n, 0, 0))
        e = Example.random(Linear(sums=True), x, w, consts=(1,))
        found[f"{CHUNK}x{k}x{n}"] = Point(e, CHUNK * k * n, CHUNK * n)
    return found


def fitted(points: Sequence[Point], counts: Sequence[int]) -> tuple[float, float]:
    """What each product and each element of the results takes, by least squares of relative errors."""
    a = np.array([(p.macs, p.elements) for p in points], float) / np.array(counts)[:, None]
    if not a[:, 0].any():
        return 0.0, 1 / float(a[:, 1].mean())
    if len(points) == 1 or (both := np.linalg.lstsq(a, np.ones(len(a)), rcond=None)[0]).min() < 0:
        return 1 / float(a[:, 0].mean()), 0.0
    return float(both[0]), float(both[1])


def counted(board: Board, costs: Costs, points: dict[str, Point], check: dict[str, Point]) -> tuple[Costs, bool]:
    """The costs with what is counted; prints each call. False if a result is wrong, or the board's table."""
    everything = points | check
    with tempfile.TemporaryDirectory() as name:
        rows = measure(board, Path(name), {k: p.example for k, p in everything.items()})
    took, right = {r.name: r.instructions for r in rows}, all(r.right for r in rows)
    table: dict[str, tuple[float, float]] = {}
    for op in dict.fromkeys(p.op for p in points.values()):
        own = [k for k, p in points.items() if p.op == op]
        table[op] = fitted([points[k] for k in own], [took[k] for k in own])
    print(f"{'on ' + board.name:24} {'kernel':26} {board.cpu.counts:>13} {'by the fit':>10} {'board.toml':>10}")
    for row in rows:
        p = everything[row.name]
        ratios = []
        for known in (table, costs.counted):
            per_mac, per_element = known.get(p.op, (0.0, 0.0))
            ratios.append((p.macs * per_mac + p.elements * per_element) / row.instructions)
        right = right and all(abs(ratio - 1) <= OFF for ratio in ratios)
        told = " ".join(f"{ratio:10.3f}" for ratio in ratios)
        print(f"{row.name:24} {row.kernel:26} {row.instructions:13,} {told} {'' if row.right else 'WRONG'}")
    print("".join(f"{op} = [{a:.4g}, {b:.4g}]\n" for op, (a, b) in table.items()))
    return replace(costs, counted=table), right


def show(name: str, stages: Sequence[Stage], parts: int) -> tuple[Schedule, bool]:
    """One prompt's schedule; False if a bar is missed."""
    tasks = tasks_of(split_attention(stages, parts), CHUNKS)
    found = schedule(tasks)
    length, bubble = found.run.length, found.run.bubble(NPU)
    ratio = found.lengths["in order"] / length
    work = {u: sum(t.cost for t in tasks if t.unit == u) for u in ("cpu", NPU)}
    crossing = sum(t.crossing for t in tasks)
    print(f"{name}, {LAYERS} layers, {CHUNKS} chunks, attention in {parts} part{'s' * (parts > 1)} (modelled ticks):")
    print("  " + ", ".join(f"{rule} {n:,}" for rule, n in found.lengths.items() if "wave" not in rule))
    print(f"  best {length:,} ({found.rule}), lower bound {found.bound:,}, {crossing:,} B cross the units")
    print(f"  {ratio:.3f} times as fast as in order (bar 1.25), bubble {bubble:.1%} (bar 10%), in order", end=" ")
    print(f"{in_order(tasks).bubble(NPU):.1%}; work " + ", ".join(f"{u} {n:,}" for u, n in work.items()))
    return found, ratio >= 1.25 and bubble <= 0.1


def main() -> int:
    """Print it all; 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocab", type=int, default=VOCAB)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--no-count", action="store_true", help="schedule by the figures in board.toml")
    parser.add_argument("--svg", type=Path, help="where to draw the schedule of counted costs")
    args = parser.parse_args()
    board = load_board("phone-npu")
    cpu, npu = board.cpu.costs, board.units[NPU].costs
    assert cpu
    assert npu
    held = [args.no_compile or compiled(board, args.vocab)]
    if not args.no_count:
        arm, hexagon = load_board("aarch64"), load_board("hexagon")
        hvx = replace(hexagon, units={"cpu": replace(hexagon.cpu, isa=board.units[NPU].isa)})
        cpu, right = counted(arm, cpu, on_cpu(), {"attention at 512, a row": attention(512, 64)})
        npu, packed = counted(hvx, npu, on_npu(), {})
        held += [right, packed]
    held.append(show("2:1", TWO_TO_ONE * LAYERS, 1)[1])
    stages = layer_stages(QWEN, CHUNK, cpu, npu) * LAYERS
    print(f"in a microsecond the cpu does {cpu.per_us:,.0f} instructions, the npu {npu.per_us:,.0f} packets (modelled)")
    show("counted", stages, 1)
    found, fine = show("counted", stages, PARTS)
    held.append(fine)
    for rate in (0.5, 0.75, 1.5, 2.0):
        told = replace(cpu, per_us=rate * cpu.per_us)
        other = schedule(tasks_of(split_attention(layer_stages(QWEN, CHUNK, told, npu) * LAYERS, PARTS), CHUNKS))
        ratio, bubble = other.lengths["in order"] / other.run.length, other.run.bubble(NPU)
        print(f"  with {told.per_us:,.0f} instructions in a microsecond: {ratio:.3f} times, bubble {bubble:.1%}")
    if args.svg:
        runs = {"in order": in_order(found.run.tasks), f"{found.rule}, {PARTS} parts": found.run}
        args.svg.write_text(svg(gantt(runs, found.bound, "ticks")))
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
