"""Lets a compiled language model speak on its board, its text being read as it comes. Floor 8."""

from __future__ import annotations

import codecs
import os
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tte.errors import InternalError, TteError
from tte.language.sampler import Sampler
from tte.language.speech import Speech
from tte.running.beside import beside
from tte.running.emulate import CALL_SECONDS, RUN_SECONDS, check_exit
from tte.target import Board
from tte.types import Bytes

GENERATE = 0x10003  # of codegen/templates/main.c.j2
POLL = 0.01  # seconds between two looks at what a program wrote


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt, how many tokens to add at most, and how to draw them."""

    prompt: Bytes
    tokens: int
    sampler: Sampler

    @property
    def sent(self) -> Bytes:
        """What the project's program reads."""
        s = self.sampler
        return (
            struct.pack("<IIiffi", GENERATE, len(self.prompt), self.tokens, s.temperature, s.top_p, s.seed)
            + self.prompt
        )


def generate(elf: Path, board: Board, speech: Speech, request: Request) -> Iterator[Bytes]:
    """The text that follows the prompt, token by token; a TteError if the prompt is longer than the context."""
    given, room = len(speech.tokenizer.encode(request.prompt)), speech.context.seq
    if given > room:
        raise TteError("the prompt", f"has {given} tokens, the model's context holds {room}", "shorten it")
    return _said(elf, board, request)


def _said(elf: Path, board: Board, request: Request) -> Iterator[Bytes]:
    with _running(elf, board, request) as written:
        if status := struct.unpack("<i", written.take(4))[0]:
            raise InternalError(board.name, f"the program ended with status {status}")
        while (length := struct.unpack("<i", written.take(4))[0]) >= 0:
            yield written.take(length)


def as_text(pieces: Iterator[Bytes]) -> Iterator[str]:
    """UTF-8 as it comes: a character appears when its last byte is there."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for piece in pieces:
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)


class _Written:
    """What a program writes to a file, read while it runs."""

    def __init__(self, path: Path, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.path, self.process, self.end, self.at = path, process, time.monotonic() + seconds, 0

    def take(self, size: int) -> Bytes:
        """The next bytes, as soon as they are there; InternalError if the program ends without them."""
        while True:
            over = self.process.poll() is not None
            if self.path.exists():
                with self.path.open("rb") as file:
                    file.seek(self.at)
                    found = file.read(size)
                if len(found) == size:
                    self.at += size
                    return found
            if over:
                raise InternalError("generate", f"the program ended early, with exit code {self.process.returncode}")
            if time.monotonic() > self.end:
                raise TteError("generate", "the program did not end in time")
            time.sleep(POLL)


@contextmanager
def _running(elf: Path, board: Board, request: Request) -> Generator[_Written]:
    """The program at work on a request; at the end of the block it must end well, or it is ended.

    Input and output are the files of semihosting, on all boards: what is written there can be read at once.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tte-")))
        (folder / "tte.in").write_bytes(request.sent)
        tie = stack.enter_context(beside(elf, board, folder))
        argv = [a.replace("{elf}", str(elf.resolve())) for a in board.cpu.run]
        out = folder / ("said" if board.cpu.linker else "tte.out")
        with (folder / "tte.in").open("rb") as i, out.open("wb") as o, (folder / "errors").open("wb") as e:
            process = subprocess.Popen(argv, stdin=i, stdout=o, stderr=e, cwd=folder, start_new_session=True)
        tie(process)
        seconds = RUN_SECONDS + CALL_SECONDS * request.tokens
        try:
            yield _Written(folder / "tte.out", process, seconds)
            process.wait(CALL_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            else:  # a fault says more than what came of it
                said = (folder / "errors").read_bytes()
                check_exit(subprocess.CompletedProcess(argv, process.returncode, b"", said), board)
        if process.returncode:
            raise InternalError(board.name, f"the program ended with exit code {process.returncode}")
