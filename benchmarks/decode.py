"""Tokens per second of a compiled language model, beside plain float C in the order of llama2.c, and ONNX Runtime.

    python benchmarks/decode.py [--models FOLDER] [--tokens 256] [--chunk 256] [--pairs 9] [--group 32] [--json]

All is measured. They run stories260K on one thread of this machine, in turn: each turn gives a ratio of ours in float
to each other, and the medians are printed. Ours are compiled as their Makefiles say, plain C by gcc -O3 -march=native;
ONNX Runtime is told of in decode_onnx.py. Time is the processor's, so that what else runs here weighs little. "differ"
is by how much the logits after the last token do, in units of the largest. The exit code is 1 if the float ones choose
other tokens or their logits differ by over 0.1%, or if ours in float is below the bar beside plain C.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

from tte.driver import Options, compile_model
from tte.frontend.llama2c import import_llama2c
from tte.passes.quantize.rows import Rows
from tte.target import load_board

HERE, BAR, ROUNDS, APART = Path(__file__).parent, 3.0, 3, 1e-3
POSIX = "-D_POSIX_C_SOURCE=199309L"
OURS, PLAIN, ONNX = "ours, f32", "plain C", "ONNX Runtime"


@dataclass(frozen=True, slots=True)
class Run:
    """Least seconds of decode and of prefill over the rounds, the tokens, and the logits after the last of a prompt."""

    decode: float
    prefill: float
    tokens: str
    logits: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens per second, and the median of what ours in float has for each of them."""

    name: str
    decode: float
    prefill: float
    decode_ratio: float
    prefill_ratio: float
    same: bool
    differ: float


def build_ours(folder: Path, checkpoint: Path, chunk: int, rows: Rows | None) -> Path:
    """The compiled model with a program that times it."""
    module = import_llama2c(checkpoint, "timed", chunk)
    compile_model(module, load_board("host"), Options(rows=rows)).write(folder)
    shutil.copy(HERE / "decode_ours.c", folder)
    extra = f"EXTRA={POSIX} -DMODEL=timed -DARENA=TIMED_ARENA_BYTES -DCHUNK={chunk}"
    argv = ["make", "-s", "SOURCES=decode_ours.c model.c weights.c", "ELF=timed.elf", extra]
    subprocess.run(argv, cwd=folder, check=True)
    return folder / "timed.elf"


def build_plain(folder: Path) -> Path:
    """Plain float C for this very processor."""
    flags = ["-std=c11", POSIX, "-O3", "-march=native", "-Wall", "-Wextra"]
    subprocess.run(["gcc", *flags, str(HERE / "decode_plain.c"), "-lm", "-o", "plain.elf"], cwd=folder, check=True)
    return folder / "plain.elf"


def timed(argv: list[str]) -> Run:
    """Run one of the programs."""
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    *rounds, tokens, logits = done.stdout.strip().splitlines()
    decode, prefill = zip(*(map(float, line.split()) for line in rounds), strict=True)
    return Run(min(decode), min(prefill), tokens.strip(), tuple(map(float, logits.split())))


def compared(name: str, runs: list[Run], ours: list[Run], count: int) -> Row:
    """A program beside ours in float, turn by turn."""
    decode = median(a.decode / b.decode for a, b in zip(runs, ours, strict=True))
    prefill = median(a.prefill / b.prefill for a, b in zip(runs, ours, strict=True))
    found, want = (np.asarray(one[0].logits) for one in (runs, ours))
    rates = (count / median(r.decode for r in runs), count / median(r.prefill for r in runs))
    differ = float(abs(found - want).max() / abs(want).max())
    return Row(name, *rates, decode, prefill, runs[0].tokens == ours[0].tokens, differ)


def main() -> None:
    """Print a line for each program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=HERE.parents[1] / "shared" / "models")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--chunk", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--group", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    checkpoint, tail = given.models / "stories260K.bin", [str(given.tokens), str(ROUNDS)]
    ways = {OURS: None, "ours, --bits 8": Rows(), "ours, --bits 4": Rows(given.group)}
    with tempfile.TemporaryDirectory() as name:
        programs = {}
        for i, (way, rows) in enumerate(ways.items()):
            programs[way] = [str(build_ours(Path(name) / str(i), checkpoint, given.chunk, rows)), *tail]
        programs[PLAIN] = [str(build_plain(Path(name))), str(checkpoint), *tail]
        programs[ONNX] = [sys.executable, str(HERE / "decode_onnx.py"), str(checkpoint), *tail]
        turns = [{way: timed(argv) for way, argv in programs.items()} for _ in range(given.pairs)]
    table = [compared(way, [t[way] for t in turns], [t[OURS] for t in turns], given.tokens) for way in programs]
    if given.json:
        print(json.dumps([asdict(r) for r in table]))
    else:
        print(f"measured, tokens/s of {given.tokens}; beside them, how many times as fast ours in f32 is")
        print(f"{'':15} {'decode':>9}        {'prefill':>10}         same tokens  differ")
        for r in table:
            rates = f"{r.decode:9,.0f} {r.decode_ratio:6.2f} {r.prefill:10,.0f} {r.prefill_ratio:6.2f}"
            print(f"{r.name:15} {rates}   {r.same!s:11} {r.differ:8.1e}")
    (plain,) = (r for r in table if r.name == PLAIN)
    sound = all(r.same and r.differ <= APART for r in table if r.name in {PLAIN, ONNX})
    sys.exit(not sound or min(plain.decode_ratio, plain.prefill_ratio) < BAR)


if __name__ == "__main__":
    main()
