"""Tokens per second of a compiled language model, beside plain float C in the order of llama2.c; all measured.

    python benchmarks/decode.py [--models FOLDER] [--tokens 256] [--chunk 256] [--pairs 9] [--json]

Both run stories260K on one thread of this machine, in turn: each pair gives a ratio, and the medians are printed.
Ours is compiled as its Makefile says, theirs by gcc -O3 -march=native. Time is the processor's, so that what else runs
here weighs little. The exit code is 1 if the tokens that they choose differ, or a ratio is below the bar.
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

from tte.driver import compile_model
from tte.frontend.llama2c import import_llama2c
from tte.target import load_board

HERE, BAR, ROUNDS = Path(__file__).parent, 3.0, 3
POSIX = "-D_POSIX_C_SOURCE=199309L"


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens per second of ours and of plain C, and the median ratio of a pair."""

    phase: str
    ours: float
    plain: float
    ratio: float


def build_ours(folder: Path, checkpoint: Path, chunk: int) -> Path:
    """The compiled model with a program that times it."""
    compiled = compile_model(import_llama2c(checkpoint, "timed", chunk), load_board("host"))
    compiled.write(folder)
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


def timed(*argv: str) -> tuple[float, float, str]:
    """Least seconds of decode and of prefill over the rounds, and the tokens."""
    *rounds, tokens = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()
    decode, prefill = zip(*(map(float, line.split()) for line in rounds), strict=True)
    return min(decode), min(prefill), tokens


def main() -> None:
    """Print a line for each phase."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=HERE.parents[1] / "shared" / "models")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--chunk", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    checkpoint, count = given.models / "stories260K.bin", str(given.tokens)
    with tempfile.TemporaryDirectory() as name:
        ours = [str(build_ours(Path(name) / "ours", checkpoint, given.chunk)), count, str(ROUNDS)]
        plain = [str(build_plain(Path(name))), str(checkpoint), count, str(ROUNDS)]
        pairs = [(timed(*ours), timed(*plain)) for _ in range(given.pairs)]
    rows = []
    for i, phase in enumerate(("decode", "prefill")):
        a, b = [float(pair[0][i]) for pair in pairs], [float(pair[1][i]) for pair in pairs]
        ratio = median(y / x for x, y in zip(a, b, strict=True))
        rows.append(Row(phase, given.tokens / median(a), given.tokens / median(b), ratio))
    same = all(pair[0][2] == pair[1][2] for pair in pairs)
    if given.json:
        print(json.dumps({"rows": [asdict(r) for r in rows], "same_tokens": same}))
    else:
        print(f"{'measured':8} {'ours':>10} {'plain C':>10}  ratio   (tokens/s; {given.tokens} tokens, same: {same})")
        for r in rows:
            print(f"{r.phase:8} {r.ours:10,.0f} {r.plain:10,.0f} {r.ratio:6.2f}")
    sys.exit(not same or any(r.ratio < BAR for r in rows))


if __name__ == "__main__":
    main()
