"""Qwen1.5-1.8B's real shapes on phone-npu: compile a layer, count its kernels, and schedule a prompt of 1,024 tokens.

    python benchmarks/schedule.py [--no-compile] [--run] [--no-count] [--vocab 4096] [--svg FILE]

Weights are random, of a fixed seed, and so are the channels with shadows (3%). One of the 24 layers is built, and the
vocabulary of 151,936 is cut. Instructions and packets are counted in QEMU, a call of each kernel at the real shapes;
what time they take is modelled, by the rates in the board's cost table, which are assumed: the last table tells what
other ones give. The exit code is 1 if a result is wrong, a bar
is missed, or a figure in board.toml is 2% off what is counted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from layer_calls import CHUNK, CONTEXT, HEADS, HOT, SCALE, Point, attention, on_cpu, on_npu
from layers import measure

from tte.codegen.svg import svg
from tte.driver import Compiled, Options, compile_model
from tte.frontend.decoder import Config, decoder
from tte.interp import interpret
from tte.ir import Module
from tte.ops.attention import Attention
from tte.ops.linear import Linear
from tte.passes.npu.outlier import Split
from tte.passes.npu.schedule import Schedule, in_order, schedule
from tte.passes.npu.shapes import QWEN, TWO_TO_ONE, layer_stages
from tte.passes.npu.stages import joined, split_attention, tasks_of
from tte.passes.threads import Threads
from tte.pictures.gantt import gantt
from tte.running.elf import sizes
from tte.running.emulate import build, call, play
from tte.target import Board, Costs, load_board
from tte.timetable import Tasks
from tte.types import NPU

CHUNKS, LAYERS, PARTS, THREADS, VOCAB = 4, 24, 4, 4, 4096
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


def compiled(board: Board, vocab: int, run: bool) -> bool:
    """Compile and build; print bytes. False if a bar is missed, or a chunk's logits aren't numpy's."""
    module, splits = model(vocab)
    start = time.monotonic()
    done = compile_model(module, board, Options(splits=splits, threads=Threads(THREADS)))
    with tempfile.TemporaryDirectory() as name:
        done.write(Path(name))
        written = time.monotonic()
        build(Path(name), board)
        built = time.monotonic()
        flash = {e: sizes(Path(name) / e, board).flash for e in ("model.elf", "npu.elf")}
        same = not run or ran(done.module, Path(name) / "model.elf", board)
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
    return same and share <= 1 / CHUNKS + 0.05 and hot <= 0.03


def ran(module: Module, elf: Path, board: Board) -> bool:
    """True if the two programs compute a chunk to numpy's bits."""
    graph, start = module.graph("prefill"), time.monotonic()
    given = np.arange(CHUNK, dtype=np.int32) * 13, np.array([0, CHUNK], np.int32)
    ((found,),), _ = play(elf, board, [call(module, "prefill", given)])
    took = time.monotonic() - start
    names = (v.name for v in graph.ins)
    outs, _ = interpret(graph, dict(zip(names, given, strict=True)), {s.value.name: s.init for s in module.states})
    same = np.array_equal(found, outs[graph.outs[0].name])
    print(f"a chunk of {CHUNK} tokens in QEMU: {took:.0f} s (measured); logits {'are' if same else 'ARE NOT'} numpy's")
    return same


def graphs(done: Compiled) -> tuple[int, int, float]:
    """Bytes of prefill's graphs for all chunks, shared and not, and the share of shadows in the weights of products.

    A graph is the constants that its calls read; attention's, of which each chunk has one, its scratch too.
    """
    calls = next(f for f in done.program.functions if f.name == "prefill").calls
    static, own, scratch = dict[int, int](), dict[int, int](), 0
    for c in calls:
        mine = own if isinstance(c.node.op, Attention) else static
        mine |= {id(a): a.nbytes for a in c.consts.values()}
        scratch += c.scratch.type.bytes if c.scratch and mine is own else 0
    once, each = sum(static.values()), sum(own.values()) + scratch
    found = {s.value.name: s.init.size for s in done.module.states}
    hot, weights = (sum(n for k, n in found.items() if k.endswith(end)) for end in ("_hot", "_s8"))
    return once + CHUNKS * each, CHUNKS * (once + each), hot / weights


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
    print(f"{'on ' + board.name:26} {'kernel':26} {board.cpu.counts:>13} {'by the fit':>10} {'board.toml':>10}")
    for row in rows:
        p = everything[row.name]
        ratios = []
        for known in (table, costs.counted):
            per_mac, per_element = known.get(p.op, (0.0, 0.0))
            ratios.append((p.macs * per_mac + p.elements * per_element) / row.instructions)
        right = right and all(abs(ratio - 1) <= OFF for ratio in ratios)
        told = " ".join(f"{ratio:10.3f}" for ratio in ratios)
        print(f"{row.name:26} {row.kernel:26} {row.instructions:13,} {told} {'' if row.right else 'WRONG'}")
    print("".join(f"{op} = [{a:.4g}, {b:.4g}]\n" for op, (a, b) in table.items()))
    return replace(costs, counted=table), right


def show(name: str, tasks: Tasks, tick: str) -> tuple[Schedule, bool]:
    """One prompt's schedule, of ticks of that unit; False if a bar is missed."""
    found = schedule(tasks)
    length, bubble = found.run.length, found.run.bubble(NPU)
    ratio = found.lengths["in order"] / length
    work = {u: sum(t.cost for t in tasks if t.unit == u) for u in ("cpu", NPU)}
    crossing = sum(t.crossing for t in tasks)
    print(f"{name}, {LAYERS} layers, {CHUNKS} chunks ({tick}, modelled):")
    print("  " + ", ".join(f"{rule} {n:,}" for rule, n in found.lengths.items() if "wave" not in rule))
    print(f"  best {length:,} ({found.rule}), lower bound {found.bound:,}, {crossing:,} B cross the units")
    print(f"  {ratio:.3f} times as fast as in order (bar 1.25), bubble {bubble:.1%} (bar 10%), in order", end=" ")
    print(f"{in_order(tasks).bubble(NPU):.1%}; work " + ", ".join(f"{u} {n:,}" for u, n in work.items()))
    return found, ratio >= 1.25 and bubble <= 0.1


def rates(cpu: Costs, npu: Costs) -> None:
    """What becomes of it if the cpu is slower or faster than assumed, beside the same npu."""
    print(
        f"gain and bubble by instructions a microsecond of a thread: the program's stages; attention in {PARTS} parts"
    )
    for rate in (2000, 3000, 4000, 5000, 6000, 9000, 12000):
        stages = layer_stages(QWEN, CHUNK, replace(cpu, per_us=float(rate)), npu, THREADS) * LAYERS
        row = f"  {rate:6,}"
        for tasks in (joined(stages, CHUNKS), tasks_of(split_attention(stages, PARTS), CHUNKS)):
            found = schedule(tasks)
            row += f"  {found.lengths['in order'] / found.run.length:.3f} {found.run.bubble(NPU):6.1%}"
        print(row)


def main() -> int:
    """Print it all; 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocab", type=int, default=VOCAB)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--run", action="store_true", help="compute a chunk in QEMU, and compare it with numpy")
    parser.add_argument("--no-count", action="store_true", help="schedule by the figures in board.toml")
    parser.add_argument("--svg", type=Path, help="where to draw the schedule of counted costs")
    args = parser.parse_args()
    board = load_board("phone-npu")
    cpu, npu = board.cpu.costs, board.units[NPU].costs
    assert cpu
    assert npu
    held = [args.no_compile or compiled(board, args.vocab, args.run)]
    if not args.no_count:
        arm, hexagon = load_board("aarch64"), load_board("hexagon")
        hvx = replace(hexagon, units={"cpu": replace(hexagon.cpu, isa=board.units[NPU].isa)})
        cpu, right = counted(arm, cpu, on_cpu(), {"attention, 64 rows at 512": attention(512, 64)})
        npu, packed = counted(hvx, npu, on_npu(), {})
        held += [right, packed]
    held.append(show("2:1", tasks_of(TWO_TO_ONE * LAYERS, CHUNKS), "us")[1])
    stages = layer_stages(QWEN, CHUNK, cpu, npu, THREADS) * LAYERS
    print(f"in a microsecond each of {THREADS} threads does {cpu.per_us:,.0f} instructions, the npu", end=" ")
    print(f"{npu.per_us:,.0f} packets (modelled)")
    found, fine = show("counted, in the stages of the program", joined(stages, CHUNKS), "ns")
    apart = {f"counted, attention in {n} part{'s' * (n > 1)}": split_attention(stages, n) for n in (1, PARTS)}
    held += [fine, *(show(name, tasks_of(split, CHUNKS), "ns")[1] for name, split in apart.items())]
    rates(cpu, npu)
    if args.svg:
        runs = {"in order": in_order(found.run.tasks), found.rule: found.run}
        args.svg.write_text(svg(gantt(runs, found.bound, "ns")))
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
