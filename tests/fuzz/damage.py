"""Damaged model files, each made from a seed alone, and the worker that tries them: damage.py FOLDER FIRST LAST.

FOLDER holds whole models. The worker prints a line per case before it tries it, and, where it went wrong, what was
raised; if it dies or hangs, the last number printed is the case to look at.
"""

from __future__ import annotations

import resource
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np

from tte.driver import Options, compile_model
from tte.errors import InternalError, TteError
from tte.load import load_model
from tte.target import load_board

SECONDS, BYTES = 20, 3 << 30
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)


def damaged(data: bytes, seed: int) -> bytes:
    """Cut short, with a few bits turned over, a few bytes at an extreme, or a piece left out or doubled."""
    rng = np.random.default_rng(seed)
    found = np.frombuffer(data, np.uint8).copy()
    near = min(len(found), 2048)  # both formats keep much of their structure at the ends
    places = {0: len(found), 1: near}
    kind, n = int(rng.integers(0, 8)), int(rng.integers(1, 9))
    at = rng.integers(0, places[int(rng.integers(0, 2))], n)
    at = at if rng.integers(0, 2) else len(found) - 1 - at
    if kind == 0:
        return data[: int(rng.integers(0, len(data)))]
    if kind <= 4:
        found[at] ^= (1 << rng.integers(0, 8, n)).astype(np.uint8)
    elif kind <= 6:
        found[at] = rng.choice(np.array(EXTREMES, np.uint8), n)
    else:
        a, size = int(at[0]), int(rng.integers(1, 65))
        piece = found[a : a + size]
        found = np.concatenate([found[:a], *([piece, piece] if n % 2 else []), found[a + size :]])
    return found.tobytes()


def attempt(path: Path, seed: int) -> str:
    """Compile a file; "" if it compiles or is refused in one line, else what went wrong."""
    memory = ("fast", "balanced", "smallest")[seed % 3]
    io = frozenset({"quantized"} if seed & 1 else ())
    signal.alarm(SECONDS)
    try:
        compile_model(load_model(path), load_board("cortex-m4"), Options(io=io, memory=memory))  # type: ignore
    except InternalError as error:
        return f"internal error: {error}"
    except TteError as error:
        return "" if str(error).strip() and "\n" not in str(error) else f"not one line: {str(error)!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]!r}"
    finally:
        signal.alarm(0)
    return ""


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} seconds")


def main(folder: Path, first: int, last: int) -> None:
    """Case i damages file i modulo their number, with seed i."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    signal.signal(signal.SIGALRM, _too_long)
    models = sorted(p for p in folder.iterdir() if p.is_file())
    with tempfile.TemporaryDirectory() as name:
        for case in range(first, last):
            model = models[case % len(models)]
            path = Path(name) / f"model{model.suffix}"
            path.write_bytes(damaged(model.read_bytes(), case))
            print(f"case {case} {model.name}", flush=True)
            if wrong := attempt(path, case):
                print(f"wrong {wrong}", flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
