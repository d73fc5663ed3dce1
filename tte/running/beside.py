"""The npu's own program, which works beside the cpu's: one starts before the other, and both end together. Floor 6."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from tte.errors import InternalError
from tte.target import Board
from tte.types import NPU

PROGRAM = f"{NPU}.elf"  # beside that of the cpu
WINDOW = "tte.window"  # the file that both map, of boards/common/window.c
END_SECONDS = 60  # from the end of the cpu's program to that of the npu's, on a slow machine
Process: TypeAlias = "subprocess.Popen[bytes]"
Tie: TypeAlias = Callable[[Process], None]


@contextmanager
def beside(elf: Path, board: Board, folder: Path) -> Generator[Tie]:
    """The npu's program at work in `folder`, if the project has one; nothing of it is left after the block.

    In the block the cpu's program starts there, the leader of a session of its own, and is tied to the npu's: should
    that one fail, both end, and an InternalError says why.
    """
    npu, program = board.npu, elf.resolve().with_name(PROGRAM)
    if npu is None or not npu.cc or not program.exists():
        yield lambda process: None
        return
    with (folder / WINDOW).open("wb") as window:
        window.truncate(board.window)
    argv = [a.replace("{elf}", str(program)) for a in npu.run]
    with (folder / "npu.errors").open("wb") as errors:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=errors, cwd=folder, start_new_session=True)
    try:
        yield lambda cpu: threading.Thread(target=_follow, args=(process, cpu), daemon=True).start()
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise InternalError(board.name, "the program of the npu did not end") from error
    except Exception as error:
        _check(process, board, folder, error)
        raise
    finally:
        process.kill()
        process.wait()
    _check(process, board, folder)


def _follow(npu: Process, cpu: Process) -> None:
    """End the cpu's program, which would wait for ever, if the npu's fails."""
    if npu.wait() and cpu.poll() is None:
        os.killpg(cpu.pid, signal.SIGKILL)


def _check(npu: Process, board: Board, folder: Path, error: Exception | None = None) -> None:
    """Raise what the end of the npu's program says was wrong, if it has ended."""
    if npu.poll():
        said = (folder / "npu.errors").read_text(errors="replace").strip().splitlines()
        what = f"the program of the npu ended with exit code {npu.returncode}"
        raise InternalError(board.name, what, said[-1] if said else "") from error
